"""Softmax over channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2c.ir.op import Array, Op, rounded
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class Softmax(Op):
    """`exp(x - max) / sum(exp(x - max))` over the last axis (ONNX Softmax), or its logarithm (LogSoftmax)."""

    logarithm: bool = False

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Float in, float out."""
        return TensorType(inputs[0].shape)

    def reference(self, *inputs: Array) -> Array:
        """Computed in float64, rounded once."""
        shifted = inputs[0].astype(np.float64) - inputs[0].max(axis=2, keepdims=True)
        total = np.exp(shifted).sum(axis=2, keepdims=True)
        return rounded(shifted - np.log(total) if self.logarithm else np.exp(shifted) / total, inputs[0])


Softmax.CASES = tuple((Softmax(logarithm), (TensorType((2, 1, 7)),)) for logarithm in (False, True))
