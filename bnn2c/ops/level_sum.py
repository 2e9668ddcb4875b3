"""Sum of packed level codes over an axis: means of binary activations without a real number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class LevelSum(Op):
    """`out[a, 0, d] = sum_r code[a, r, d]`: shapes [A, R, D] -> [A, 1, D], exact."""

    def largest(self, kind: TensorType) -> int:
        """The largest possible sum."""
        return kind.shape[1] * ((1 << kind.planes) - 1)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Packed codes in, int16 or int32 out."""
        kind = inputs[0]
        if kind.storage != "bits" or kind.layout != "pixels":
            raise ValueError(f"{kind} is not packed codes")
        return TensorType((kind.shape[0], 1, kind.shape[2]), "i16" if self.largest(kind) <= 32767 else "i32")

    def reference(self, *inputs: Array) -> Array:
        """Sum."""
        return np.asarray(inputs[0].astype(np.int64).sum(axis=1, keepdims=True), np.int32)

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Words of one plane of a pixel."""
        return {"words": inputs[0].words_per_pixel}


LevelSum.CASES = (
    (LevelSum(), (TensorType((2, 9, 40), "bits"),)),
    (LevelSum(), (TensorType((1, 300, 5), "bits", 2),)),
    (LevelSum(), (TensorType((3, 1, 64), "bits", 3),)),
)
