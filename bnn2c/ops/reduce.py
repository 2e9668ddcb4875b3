"""Reduction of the middle axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2c.ir.op import Array, Op, rounded
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class Reduce(Op):
    """[A, R, D] -> [A, 1, D] with `function` sum, mean, max, min or prod over R (ONNX Reduce*)."""

    function: str

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Float in, float out."""
        return TensorType((inputs[0].shape[0], 1, inputs[0].shape[2]))

    def reference(self, *inputs: Array) -> Array:
        """The numpy reduction in float64."""
        found = getattr(np, self.function)(inputs[0].astype(np.float64), axis=1, keepdims=True)
        return rounded(found, inputs[0])


Reduce.CASES = tuple((Reduce(name), (TensorType((2, 5, 3)),)) for name in ("sum", "mean", "max", "min", "prod"))
