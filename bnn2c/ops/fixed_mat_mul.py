"""Product of two integer activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2c.fixed_point.formats import INTEGER_LIMITS
from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.ir.op import Array, Cost, Op
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class FixedMatMul(Op):
    """`out[b, m, n] = saturate(round((sum_k left[b, m, k] * right[b, n, k] >> drop) * multiplier / 2^shift))`.

    Shapes [B, M, K] and [B or 1, N, K] -> [B, M, N]; sums in int64; ties round up.
    """

    drop: int
    multiplier: int
    shift: int
    storage: str

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Batches must broadcast and K must agree."""
        left, right = inputs[0].shape, inputs[1].shape
        if left[2] != right[2] or left[0] % right[0] or "f32" in (inputs[0].storage, inputs[1].storage):
            raise ValueError(f"{inputs[0]} times {inputs[1]}")
        return TensorType((left[0], left[1], right[1]), self.storage)

    def reference(self, *inputs: Array) -> Array:
        """Exact integers."""
        left, right = (x.astype(np.int64) for x in inputs)
        sums = (left @ right.transpose(0, 2, 1)) >> self.drop
        rounded = (sums * self.multiplier + (1 << (self.shift - 1))) >> self.shift
        return np.asarray(np.clip(rounded, *INTEGER_LIMITS[self.storage]), NUMPY_TYPES[self.storage])

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """B*M*N*K multiply-accumulates."""
        return Cost(real_macs=self.infer(inputs).size * inputs[0].shape[2])
