"""Frames of a stream that lie some frames apart: what a dilated window sees when frames come one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from bnn2c.ir.types import TensorType
from bnn2c.ops.history import History


@dataclass(frozen=True, eq=False)
class SpacedHistory(History):
    """Every `gap`-th frame of a `History` of `span` frames, the newest one last.

    Its work does not depend on `span`, and what reads it reads neighbours: a dilated convolution of one pixel becomes
    one without dilation. The frames lie in a ring after the counter and the place of the oldest, packed bits of one
    pixel each; steps of one frame only.
    """

    gap: int = 1

    @property
    def kept(self) -> int:
        """Frames of the output."""
        return (self.span - 1) // self.gap + 1

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """One pixel of packed bits in, `kept` pixels along `axis` out."""
        kind = inputs[0]
        if self.pace or kind.storage != "bits" or kind.layout == "planes" or prod(kind.shape[:2]) != 1:
            raise ValueError(f"{kind} is not one pixel of packed bits")
        return super().infer(inputs)

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """Counter, place, ring."""
        return 8 + (self.span - 1) * inputs[0].nbytes

    def cleared(self, inputs: Sequence[TensorType]) -> tuple[int, int]:
        """The place, and the ring where padding in front reads it."""
        return 0, self.scratch_bytes(inputs) - 4 if self.lead > 0 else 4

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Words of a frame."""
        return {"run": inputs[0].nbytes // 4, **self.calls}
