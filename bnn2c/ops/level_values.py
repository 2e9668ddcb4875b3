"""Integers that packed level codes stand for: integer and boolean outputs without a real number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class LevelValues(Op):
    """`out[h, w, c] = values[code[h, w, c]]`.

    Attributes:
        values: integers [L], one per code.
        storage: integer storage of the output.
    """

    values: Array
    storage: str

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Packed codes in, integers of the same shape out."""
        kind = inputs[0]
        if kind.storage != "bits" or kind.layout != "pixels" or len(self.values) > 1 << kind.planes:
            raise ValueError(f"{kind} is not packed codes of {len(self.values)} levels")
        return TensorType(kind.shape, self.storage)

    def reference(self, *inputs: Array) -> Array:
        """Look up."""
        return np.asarray(self.values[inputs[0]], NUMPY_TYPES[self.storage])

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """The table, in the type of the output; codes that do not occur get the last value."""
        missing = (1 << inputs[0].planes) - len(self.values)
        return {"table": np.pad(self.values, (0, missing), "edge").astype(NUMPY_TYPES[self.storage])}

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Words of one plane of a pixel."""
        return {"words": inputs[0].words_per_pixel}


LevelValues.CASES = (
    (LevelValues(np.array([1, 0]), "u8"), (TensorType((2, 3, 40), "bits"),)),
    (LevelValues(np.array([3, 0, -1, -70000]), "i32"), (TensorType((1, 4, 33), "bits", 2),)),
    (LevelValues(np.array([1, -1]), "i8"), (TensorType((3, 1, 1), "bits"),)),
)
