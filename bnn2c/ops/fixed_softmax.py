"""Softmax in fixed point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2c.fixed_point.formats import INTEGER_LIMITS
from bnn2c.fixed_point.program import interpolate
from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType

REACH = 11.0


@dataclass(frozen=True, eq=False)
class FixedSoftmax(Op):
    """`exp(x - max) / sum(exp(x - max))` over the last axis; 1.0 is the largest value of the storage.

    exp is a table of 512 linear pieces over 0 … 11 below the maximum (error below 7e-5 of the largest term); what is
    farther below counts as 0, as masked numbers have to.

    Attributes:
        step: `round(65536 * s)`, where one unit of the input is s of the 65535 steps from 0 to 11.
        storage: i16, i8 or u8.
    """

    step: int
    storage: str

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Integer in, integer out."""
        if inputs[0].storage == "f32":
            raise ValueError(f"{inputs[0]} into a fixed-point softmax")
        return TensorType(inputs[0].shape, self.storage)

    def reference(self, *inputs: Array) -> Array:
        """Exact integers."""
        given = inputs[0].astype(np.int64)
        below = given.max(axis=2, keepdims=True) - given
        place = np.minimum((below * self.step) >> 16, 65535)
        power = interpolate(self.table.astype(np.int64), place)
        total = power.sum(axis=2, keepdims=True)
        high = INTEGER_LIMITS[self.storage][1]
        return np.asarray((power * high + total // 2) // total, NUMPY_TYPES[self.storage])

    @property
    def table(self) -> Array:
        """513 values of exp, 32767 for 1.0; 0 at both ends of the last piece."""
        found = np.rint(32767 * np.exp(-REACH * np.arange(513) / 511.992))
        return np.asarray(np.where(np.arange(513) < 511, found, 0), np.int16)

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """The table."""
        return {"table": self.table}
