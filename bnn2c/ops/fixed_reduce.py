"""Reduction of the middle axis of integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2c.fixed_point.formats import INTEGER_LIMITS
from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType
from bnn2c.ops.fixed_average_pool import divide


@dataclass(frozen=True, eq=False)
class FixedReduce(Op):
    """[A, R, D] -> [A, 1, D]: max, min, or the mean times 2^fraction, to nearest (ties away from zero) and saturated.

    Attributes:
        function: mean, max or min; a sum is a mean whose scale is R times larger.
        fraction: binary digits that the mean gains.
    """

    function: str
    fraction: int = 0

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Same storage as the input."""
        return TensorType((inputs[0].shape[0], 1, inputs[0].shape[2]), inputs[0].storage)

    def reference(self, *inputs: Array) -> Array:
        """Integer sums and divisions."""
        given = inputs[0].astype(np.int64)
        if self.function != "mean":
            return np.asarray(getattr(np, self.function)(given, axis=1, keepdims=True), inputs[0].dtype)
        total = given.sum(axis=1, keepdims=True) << self.fraction
        low, high = INTEGER_LIMITS[{"int16": "i16", "int8": "i8", "uint8": "u8"}[inputs[0].dtype.name]]
        return np.clip(divide(total, np.asarray(given.shape[1])), low, high).astype(inputs[0].dtype)
