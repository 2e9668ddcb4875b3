"""Which kind of frame this step of a stream computes: the first and last ones of a padded stream differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Pace, StreamStep
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class FrameClasses(StreamStep):
    """Numbers [1, 1, N] of the frames that come with the input: `order[t]` for frame t since the reset.

    Frames after the last one of `order` are like it. Of a stream that ends, the last frame is `ending[0]`, the one
    before it `ending[1]` and so on.

    Attributes:
        order: uint8.
        ending: uint8; empty when the last frames are like those before them.
        end: number of the C variable that counts the frames which are still to come; None where a stream cannot end.
        pace: the frames that come in a step, if there are several.
    """

    order: Array
    ending: Array
    end: int | None = None
    pace: Pace | None = None

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """A byte for each frame."""
        return TensorType((1, 1, self.pace.frames if self.pace else 1), "u8")

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The number of the frame, up to the length of `order`."""
        return 0 if self.pace else 8

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Both orders."""
        found: dict[str, Array] = {"order": self.order.astype(np.uint8)}
        return found if self.end is None else found | {"ending": self.ending.astype(np.uint8)}

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """How many frames are told apart, at the beginning and at the end, and C text: the first frame's number."""
        number = f"({self.pace.frames} * steps) - {self.pace.late}" if self.pace else ""
        return {"frames": len(self.order), "last": len(self.ending), "number": number}

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """With what reads it."""
        return ("bnn2c_onset.h",)

    def describe(self) -> str:
        """The orders."""
        return f"order={self.order.tolist()}, ending={self.ending.tolist()}"
