"""Numbers that packed level codes stand for, read from a table: no arithmetic, and the same time for every code."""

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
    """`out.flat[i] = values[channel of element i, code of element i]`.

    Attributes:
        values: [1 or C, L], a number per code; one row for all channels, or one each.
        storage: storage of the output.
        shape: shape of the output, which has as many elements as the input; that of the input when None.
    """

    values: Array
    storage: str
    shape: tuple[int, int, int] | None = None

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Packed codes in, as many numbers out."""
        kind = inputs[0]
        rows, levels = self.values.shape
        if kind.storage != "bits" or kind.layout != "pixels" or levels > 1 << kind.planes:
            raise ValueError(f"{kind} is not packed codes of {levels} levels")
        if rows not in (1, kind.shape[2]) or np.prod(self.shape or kind.shape) != kind.size:
            raise ValueError(f"{kind} does not have {rows} channels in {self.shape}")
        return TensorType(self.shape or kind.shape, self.storage)

    def reference(self, *inputs: Array) -> Array:
        """Look up."""
        rows = np.broadcast_to(self.values, (inputs[0].shape[2], self.values.shape[1]))
        found = rows[np.arange(len(rows)), inputs[0]].astype(NUMPY_TYPES[self.storage])
        return found.reshape(self.shape or found.shape)

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """The table, in the type of the output; codes that do not occur get the last value."""
        missing = (1 << inputs[0].planes) - self.values.shape[1]
        return {"table": np.pad(self.values, ((0, 0), (0, missing)), "edge").astype(NUMPY_TYPES[self.storage])}

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Words of one plane of a pixel, and how far the rows of the table are apart."""
        step = 0 if len(self.values) == 1 else 1 << inputs[0].planes
        return {"words": inputs[0].words_per_pixel, "step": step}


LevelValues.CASES = (
    (LevelValues(np.array([[1, 0]]), "u8"), (TensorType((2, 3, 40), "bits"),)),
    (LevelValues(np.array([[3, 0, -1, -70000]]), "i32"), (TensorType((1, 4, 33), "bits", 2),)),
    (LevelValues(np.array([[1, -1]]), "i8"), (TensorType((3, 1, 1), "bits"),)),
    (LevelValues(np.array([[1.5, -1], [0.25, 0], [3, 2]]), "f32"), (TensorType((2, 2, 3), "bits"),)),
    (LevelValues(np.array([[1.0, -1.0]]), "f32", (5, 7, 2)), (TensorType((5, 1, 14), "bits"),)),
)
