"""Product of two packed activations: AND and popcount."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Cost, Op
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class BinaryMatMul(Op):
    """`out[b, m, n] = sum_k (left_top - left_step * q[b, m, k]) * (right_top - right_step * r[b, n, k])`, exact.

    q and r are level codes, which both operands store packed along k: shapes [B, M, K] and [B or 1, N, K] -> [B, M, N].
    +1/-1 codes have top 1 and step 2, {0, 1} codes top 1 and step 1.

    With S(q) the sum of a row's codes, `out = K tl tr - tr sl S(q) - tl sr S(r) + sl sr sum_k q r`, and the last sum is
    `sum_ij 2^(i + j) popcount(q_i AND r_j)` over the bit planes.
    """

    left_top: int
    left_step: int
    right_top: int
    right_step: int

    def bounds(self, inputs: Sequence[TensorType]) -> tuple[int, int]:
        """Least and greatest possible result."""
        left = [self.left_top - self.left_step * q for q in (0, (1 << inputs[0].planes) - 1)]
        right = [self.right_top - self.right_step * r for r in (0, (1 << inputs[1].planes) - 1)]
        products = [inputs[0].shape[2] * a * b for a in left for b in right]
        return min(products), max(products)

    def values(self, inputs: Sequence[TensorType]) -> Array:
        """All integers that can result: +1/-1 operands of even K make even numbers only."""
        low, high = self.bounds(inputs)
        base, *rest = self.params(inputs)["coefficients"]
        step = math.gcd(*rest)
        return np.arange(low + (base - low) % step, high + 1, step)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Packed codes in, int16 or int32 out."""
        left, right = inputs[0].shape, inputs[1].shape
        stored = all(kind.storage == "bits" and kind.layout == "pixels" for kind in inputs)
        if not stored or left[2] != right[2] or right[0] not in (1, left[0]):
            raise ValueError(f"{inputs[0]} times {inputs[1]}")
        low, high = self.bounds(inputs)
        return TensorType((left[0], left[1], right[1]), "i16" if low >= -32768 and high <= 32767 else "i32")

    def reference(self, *inputs: Array) -> Array:
        """Decode, multiply."""
        left = self.left_top - self.left_step * inputs[0].astype(np.int64)
        right = self.right_top - self.right_step * inputs[1].astype(np.int64)
        return np.asarray(left @ right.transpose(0, 2, 1), np.int32)

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """One binary multiply-accumulate per product of two bits."""
        planes = inputs[0].planes * inputs[1].planes
        return Cost(binary_macs=self.infer(inputs).size * inputs[0].shape[2] * planes)

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """Sums of the codes of the right operand's rows."""
        return 4 * inputs[1].shape[1]

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """The coefficients of the sums."""
        base = inputs[0].shape[2] * self.left_top * self.right_top
        sums = -self.right_top * self.left_step, -self.left_top * self.right_step
        return {"coefficients": (base, *sums, self.left_step * self.right_step)}


BinaryMatMul.CASES = (
    (BinaryMatMul(1, 2, 1, 2), (TensorType((2, 3, 40), "bits"), TensorType((2, 5, 40), "bits"))),
    (BinaryMatMul(1, 1, 1, 2), (TensorType((3, 2, 33), "bits"), TensorType((1, 4, 33), "bits"))),
    (BinaryMatMul(3, 1, 1, 2), (TensorType((1, 4, 17), "bits", 2), TensorType((1, 2, 17), "bits"))),
)
