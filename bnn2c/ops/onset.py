"""The first and last frames of a stream that is padded: constants that differ from those of all frames between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bnn2c.ir.op import Array, Cost, Op
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class Onset(Op):
    """The variant whose number the last input holds (`FrameClasses`), of the other inputs.

    Attributes:
        variants: the operation with the constants of different frames, which are equal otherwise.
        axis: 0 rows, 1 columns, 2 channels: the physical axis that is time.
    """

    variants: tuple[Op, ...]
    axis: int

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """That of every variant."""
        return self.variants[0].infer(inputs[:-1])

    def reference(self, *inputs: Array) -> Array:
        """Choose, and run."""
        return self.variants[int(inputs[-1].flat[0])].reference(*inputs[:-1])

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Those of all variants."""
        parts = enumerate(self.variants)
        return {f"{k}_{key}": array for k, op in parts for key, array in op.constants(inputs[:-1]).items()}

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """The work of one variant."""
        work = self.variants[-1].cost(inputs[:-1])
        return Cost(work.binary_macs, work.real_macs, super().cost(inputs).weight_bytes)

    def stack_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The variants'."""
        return self.variants[-1].stack_bytes(inputs[:-1])

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """Those of the variants."""
        return tuple(sorted({h for op in self.variants for h in op.headers(inputs[:-1])}))

    def kernel(self, inputs: Sequence[TensorType]) -> str:
        """The variants'."""
        return self.variants[-1].kernel(inputs[:-1])

    def describe(self) -> str:
        """How many variants there are."""
        return f"variants={len(self.variants)}, axis={self.axis}"
