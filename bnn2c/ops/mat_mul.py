"""Product of two activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2c.ir.op import Array, Cost, Op, rounded
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class MatMul(Op):
    """`out[b, m, n] = sum_k left[b, m, k] * right[b, n, k]`: both factors store the summed axis last.

    Shapes [B, M, K] and [B or 1, N, K] -> [B, M, N].
    """

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Batches must broadcast and K must agree."""
        left, right = inputs[0].shape, inputs[1].shape
        if left[2] != right[2] or left[0] % right[0]:
            raise ValueError(f"{inputs[0]} times {inputs[1]}")
        return TensorType((left[0], left[1], right[1]))

    def reference(self, *inputs: Array) -> Array:
        """Sum in float64, rounded once."""
        left, right = (x.astype(np.float64) for x in inputs)
        return rounded(left @ right.transpose(0, 2, 1), *inputs)

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """B*M*N*K real multiply-accumulates."""
        return Cost(real_macs=self.infer(inputs).size * inputs[0].shape[2])


MatMul.CASES = ((MatMul(), (TensorType((2, 3, 7)), TensorType((2, 4, 7)))),)
