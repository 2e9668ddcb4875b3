"""Rows of a constant table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class Embedding(Op):
    """`out[0, t, :] = table[ids.flat[t]]`; negative ids count from the end (ONNX Gather, axis 0).

    Attributes:
        table: float32 [V, D].
    """

    table: Array

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """One row per id."""
        return TensorType((1, inputs[0].size, self.table.shape[1]))

    def reference(self, *inputs: Array) -> Array:
        """Fancy indexing; ids are clamped into the table, as the C code does."""
        rows = len(self.table)
        ids = inputs[0].ravel().astype(np.int64)
        return np.asarray(self.table[np.clip(np.where(ids < 0, ids + rows, ids), 0, rows - 1)][None], np.float32)

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """The table."""
        return {"table": self.table.astype(np.float32)}
