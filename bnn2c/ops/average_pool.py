"""Average over sliding windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Cost, Op, rounded
from bnn2c.ir.types import TensorType
from bnn2c.ir.window import Window
from bnn2c.kernels.c_struct import window_initializer


@dataclass(frozen=True, eq=False)
class AveragePool(Op):
    """ONNX AveragePool on float [H, W, C].

    Attributes:
        window: kernel, stride, dilation, pads (padded pixels count as 0 in the sum).
        divisors: float32 [OH or 1, OW or 1]: divisor of each window's sum (count_include_pad, ceil_mode resolved).
    """

    window: Window
    divisors: Array

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Float in, float out."""
        kind = inputs[0]
        return TensorType((*self.window.output(*kind.shape[:2]), kind.shape[2]))

    def reference(self, *inputs: Array) -> Array:
        """Sum every window in float64, divide, round."""
        sums = self.window.patches(inputs[0].astype(np.float64), 0.0).sum(axis=(2, 3))
        return rounded(sums / self.divisors[:, :, None], inputs[0])

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Divisors per output row and column, only where they differ."""
        return {"divisors": np.asarray(self.divisors, np.float32)}

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Geometry and the steps from one divisor to the next, 0 along an axis with a single one."""
        rows, cols = self.divisors.shape
        steps = {"divisor_row": cols if rows > 1 else 0, "divisor_col": 1 if cols > 1 else 0}
        return {"window": window_initializer(self.window, inputs[0].shape), **steps}

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """Additions only; no multiply-accumulate is counted."""
        return Cost(weight_bytes=4 * self.divisors.size)


AveragePool.CASES = (
    (AveragePool(Window((2, 2), (2, 2)), np.full((1, 1), 4.0)), (TensorType((6, 4, 5)),)),
    (AveragePool(Window((3, 3), (2, 1), pads=(1, 1, 1, 1)), np.full((1, 1), 9.0)), (TensorType((5, 4, 3)),)),
    (AveragePool(Window((2, 2), pads=(0, 0, 1, 1)), np.array([[4.0, 2.0], [2.0, 1.0]])), (TensorType((2, 2, 7)),)),
)
