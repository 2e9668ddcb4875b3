"""Average over sliding windows of integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType
from bnn2c.ir.window import Window
from bnn2c.kernels.c_struct import window_initializer


@dataclass(frozen=True, eq=False)
class FixedAveragePool(Op):
    """`out = sum of the taps inside the input / divisor`, to nearest, ties away from zero; the format stays.

    Attributes:
        window: kernel, stride, dilation, pads (padded pixels count as 0 in the sum).
        divisors: int32 [OH or 1, OW or 1].
    """

    window: Window
    divisors: Array

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Same storage as the input."""
        kind = inputs[0]
        return TensorType((*self.window.output(*kind.shape[:2]), kind.shape[2]), kind.storage)

    def reference(self, *inputs: Array) -> Array:
        """Integer sums and divisions."""
        sums = self.window.patches(inputs[0].astype(np.int64), 0).sum(axis=(2, 3))
        return divide(sums, self.divisors[:, :, None].astype(np.int64)).astype(inputs[0].dtype)

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Divisors per output row and column, only where they differ."""
        return {"divisors": self.divisors.astype(np.int32)}

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Geometry and the steps from one divisor to the next, 0 along an axis with a single one."""
        rows, cols = self.divisors.shape
        steps = {"divisor_row": cols if rows > 1 else 0, "divisor_col": 1 if cols > 1 else 0}
        return {"window": window_initializer(self.window, inputs[0].shape), **steps}

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """One pixel of sums."""
        return 4 * inputs[0].shape[2]


def divide(values: Array, divisor: Array) -> Array:
    """Nearest integer, ties away from zero (bnn2c_divide)."""
    return np.asarray(np.sign(values) * ((np.abs(values) + divisor // 2) // divisor))
