"""Index of the largest channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class ArgMax(Op):
    """Index of the largest (or smallest) value of the last axis: [H, W, C] -> int32 [H, W, 1] (ONNX ArgMax, ArgMin)."""

    last: bool = False
    smallest: bool = False

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """int32 indices."""
        return TensorType((*inputs[0].shape[:2], 1), "i32")

    def reference(self, *inputs: Array) -> Array:
        """The first (or last) winner."""
        x = inputs[0].astype(np.float64) * (-1 if self.smallest else 1)
        if self.last:
            return np.asarray(x.shape[2] - 1 - x[:, :, ::-1].argmax(axis=2)[:, :, None], np.int32)
        return np.asarray(x.argmax(axis=2)[:, :, None], np.int32)


ArgMax.CASES = tuple(
    (ArgMax(last, smallest), (TensorType((2, 1, 9)),)) for last in (False, True) for smallest in (False, True)
)
