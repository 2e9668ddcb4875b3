"""The first and last frames of a stream that is padded: constants that differ from those of all frames between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Cost, Op
from bnn2c.ir.types import TensorType
from bnn2c.kernels.steps import units


@dataclass(frozen=True, eq=False)
class Onset(Op):
    """For each frame the variant whose number the last input holds (`FrameClasses`), of the other inputs' frames.

    Attributes:
        variants: the operation with the constants of different frames, which are equal otherwise.
        axis: 0 rows, 1 columns, 2 channels: the physical axis that is time.
    """

    variants: tuple[Op, ...]
    axis: int

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """That of every variant, for all frames."""
        sizes = list(self.variants[0].infer(self.alone(inputs)).shape)
        sizes[self.axis] *= inputs[-1].size
        return replace(self.variants[0].infer(self.alone(inputs)), shape=(sizes[0], sizes[1], sizes[2]))

    def alone(self, inputs: Sequence[TensorType]) -> list[TensorType]:
        """One frame of each of the variants' inputs."""
        return [self._one_of(inputs[-1].size, kind) for kind in inputs[:-1]]

    def _one_of(self, frames: int, kind: TensorType) -> TensorType:
        sizes = list(kind.shape)
        sizes[self.axis] //= frames
        return replace(kind, shape=(sizes[0], sizes[1], sizes[2]))

    def reference(self, *inputs: Array) -> Array:
        """Choose, and run, frame by frame."""
        numbers = inputs[-1].ravel()
        frames = zip(*(np.split(x, len(numbers), self.axis) for x in inputs[:-1]), strict=True)
        found = [self.variants[n].reference(*frame) for n, frame in zip(numbers, frames, strict=True)]
        return np.concatenate(found, axis=self.axis)

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Number of frames, each one piece of memory; types of one frame, and units between frames."""
        kinds = [*self.alone(inputs), self.variants[0].infer(self.alone(inputs))]
        return {"frames": inputs[-1].size, "kinds": kinds, "apart": [units(k, k, k.size) for k in kinds]}

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Those of all variants."""
        parts = enumerate(self.variants)
        return {f"{k}_{key}": array for k, op in parts for key, array in op.constants(self.alone(inputs)).items()}

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """The work of one variant for each frame."""
        work, frames = self.variants[-1].cost(self.alone(inputs)), inputs[-1].size
        return Cost(frames * work.binary_macs, frames * work.real_macs, super().cost(inputs).weight_bytes)

    def stack_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The variants'."""
        return self.variants[-1].stack_bytes(self.alone(inputs))

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """Those of the variants."""
        return tuple(sorted({h for op in self.variants for h in op.headers(self.alone(inputs))}))

    def kernel(self, inputs: Sequence[TensorType]) -> str:
        """The variants'."""
        return self.variants[-1].kernel(self.alone(inputs))

    def describe(self) -> str:
        """How many variants there are."""
        return f"variants={len(self.variants)}, axis={self.axis}"
