"""Sum of the packed level codes of the last frames of a stream: one frame comes, one goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bnn2c.ir.types import TensorType
from bnn2c.ops.history import History
from bnn2c.ops.level_sum import LevelSum


@dataclass(frozen=True, eq=False)
class SlidingSum(History):
    """`LevelSum` of a `History` of `span` frames: `out += code(new frame) - code(frame that leaves)`, exact.

    Its work does not depend on `span`. The frames lie in a ring after the counter and the place of the oldest.
    """

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Packed codes of the frames of a step [A, N, D] in, sums [A, N, D] out."""
        batches, frames, channels = inputs[0].shape
        if frames != self.fresh:
            raise ValueError(f"{inputs[0]} is not {self.fresh} frames")
        sums = LevelSum().infer([replace(inputs[0], shape=(batches, self.span, channels))])
        return replace(sums, shape=inputs[0].shape)

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """Counter, place, ring."""
        return 8 + self.span * inputs[0].nbytes // self.fresh

    def cleared(self, inputs: Sequence[TensorType]) -> tuple[int, int]:
        """Sums, place and ring."""
        return self.infer(inputs).nbytes, self.scratch_bytes(inputs) - 4

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Words of one plane of a pixel."""
        return LevelSum().params(inputs) | self.calls
