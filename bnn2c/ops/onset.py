"""The first and last frames of a stream that is padded: constants that differ from those of all frames between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Cost, Op, StreamStep
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class Onset(StreamStep):
    """In step t since the reset the variant `order[t]`; steps after the last of `order` use its last entry.

    Attributes:
        variants: the operation with the constants of different frames, which are equal otherwise.
        order: uint8, number of the variant of each of the first frames.
        ending: uint8, number of the variant of the last frame, of the one before it and so on.
        end: number of the C variable that counts the frames which are still to come; None where a stream cannot end.
    """

    variants: tuple[Op, ...]
    order: Array
    ending: Array
    end: int | None = None

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """That of every variant."""
        return self.variants[0].infer(inputs)

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The number of the step, up to the length of `order`."""
        return 8

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Those of all variants, and the order."""
        found: dict[str, Array] = {"order": self.order.astype(np.uint8)}
        if self.end is not None:
            found["ending"] = self.ending.astype(np.uint8)
        for number, op in enumerate(self.variants):
            found |= {f"{number}_{key}": array for key, array in op.constants(inputs).items()}
        return found

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """How many frames are told apart, at the beginning and at the end."""
        return {"frames": len(self.order), "last": len(self.ending)}

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """The work of one variant."""
        work = self.variants[-1].cost(inputs)
        return Cost(work.binary_macs, work.real_macs, super().cost(inputs).weight_bytes)

    def stack_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The variants'."""
        return self.variants[-1].stack_bytes(inputs)

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """Those of the variants."""
        return ("bnn2c_onset.h", *sorted({h for op in self.variants for h in op.headers(inputs)}))

    def kernel(self, inputs: Sequence[TensorType]) -> str:
        """The variants'."""
        return self.variants[-1].kernel(inputs)

    def describe(self) -> str:
        """How many variants there are, and when each runs."""
        return f"variants={len(self.variants)}, order={self.order.tolist()}"
