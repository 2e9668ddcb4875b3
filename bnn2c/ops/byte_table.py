"""A function of bytes, tabulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class ByteTable(Op):
    """`out = table[q]` for uint8 inputs.

    Attributes:
        table: uint8 [256].
    """

    table: Array

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """uint8 in, uint8 out."""
        if inputs[0].storage != "u8":
            raise ValueError(f"{inputs[0]} into a byte table")
        return inputs[0]

    def reference(self, *inputs: Array) -> Array:
        """Look up."""
        return np.asarray(self.table[inputs[0]], np.uint8)

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """The table."""
        return {"table": self.table.astype(np.uint8)}


ByteTable.CASES = ((ByteTable(np.arange(256)[::-1] // 3), (TensorType((3, 5, 2), "u8"),)),)
