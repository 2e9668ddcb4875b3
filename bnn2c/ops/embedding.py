"""Rows of a constant table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType
from bnn2c.packing import pack_words

_STORAGES = {np.dtype(NUMPY_TYPES[storage]): storage for storage in ("f32", "i16", "i8", "u8")}


@dataclass(frozen=True, eq=False)
class Embedding(Op):
    """`out[0, t, :] = table[ids.flat[t]]`; negative ids count from the end (ONNX Gather, axis 0).

    Attributes:
        table: numbers [V, D], float32 or (fixed point) int16, int8, uint8; or level codes uint8 [V, D].
        planes: bits of a code; 0 for a table of numbers.
    """

    table: Array
    planes: int = 0

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """One row per id: numbers of the table's type, or packed codes."""
        shape = (1, inputs[0].size, self.table.shape[1])
        if self.planes:
            return TensorType(shape, "bits", self.planes)
        return TensorType(shape, _STORAGES[self.table.dtype])

    def reference(self, *inputs: Array) -> Array:
        """Fancy indexing; ids are clamped into the table, as the C code does."""
        rows = len(self.table)
        ids = inputs[0].ravel().astype(np.int64)
        found = self.table[np.clip(np.where(ids < 0, ids + rows, ids), 0, rows - 1)][None]
        return np.asarray(found)

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """The table; of codes, one row of words per plane."""
        if not self.planes:
            return {"table": self.table}
        return {"table": pack_words(np.stack([self.table >> plane & 1 for plane in range(self.planes)], axis=1))}

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Elements (or words) of a row, and the kernel's element type."""
        kind = self.infer(inputs)
        width = kind.words_per_pixel * kind.planes if self.planes else kind.shape[2]
        return {"width": width, "suffix": "words" if self.planes else kind.storage}


Embedding.CASES = (
    (Embedding(np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)), (TensorType((1, 1, 6), "i32"),)),
)
