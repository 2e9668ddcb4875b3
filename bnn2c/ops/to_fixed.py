"""Float to fixed point, at a float input of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2c.fixed_point.formats import INTEGER_LIMITS
from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class ToFixed(Op):
    """`q = saturate(round(x * inverse))` in float32, ties to even; NaN becomes the smallest q.

    Attributes:
        inverse: 1 / scale.
        storage: i16, i8 or u8.
    """

    inverse: float
    storage: str

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Float in, integer out."""
        return TensorType(inputs[0].shape, self.storage)

    def reference(self, *inputs: Array) -> Array:
        """One float32 multiplication."""
        low, high = INTEGER_LIMITS[self.storage]
        with np.errstate(over="ignore"):
            product = inputs[0].astype(np.float32) * np.float32(self.inverse)
        limited = np.where(np.isnan(product), low, np.clip(product, low, high))
        return np.rint(limited).astype(NUMPY_TYPES[self.storage])
