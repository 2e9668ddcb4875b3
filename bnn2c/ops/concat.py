"""Concatenation along one physical axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import WORD_BITS, TensorType


@dataclass(frozen=True, eq=False)
class Concat(Op):
    """Join tensors of equal storage along `axis` (0 rows, 1 columns, 2 channels)."""

    axis: int

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """All other axes must agree."""
        shape = list(inputs[0].shape)
        for kind in inputs[1:]:
            if (kind.storage, kind.planes) != (inputs[0].storage, inputs[0].planes):
                raise ValueError("inputs are stored differently")
            if any(n != shape[a] for a, n in enumerate(kind.shape) if a != self.axis):
                raise ValueError(f"{kind.shape} does not agree with {inputs[0].shape} outside of axis {self.axis}")
            shape[self.axis] += kind.shape[self.axis]
        return TensorType((shape[0], shape[1], shape[2]), inputs[0].storage, inputs[0].planes)

    def reference(self, *inputs: Array) -> Array:
        """numpy.concatenate."""
        return np.concatenate(inputs, axis=self.axis)

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Kernel variant, and (rows, run, stride, offset) of every input in the units of bnn2c_concat.h."""
        out = self.infer(inputs)
        if out.storage != "bits":
            parts = [(prod(kind.shape[: self.axis]), prod(kind.shape[self.axis :])) for kind in inputs]
            return _parts(out.storage, parts, prod(out.shape[self.axis :]))
        if self.axis < 2:
            words = out.planes * out.words_per_pixel
            parts = [(prod(k.shape[: self.axis]), prod(k.shape[self.axis : 2]) * words) for k in inputs]
            return _parts("bits", parts, prod(out.shape[self.axis : 2]) * words)
        parts = [(k.shape[0] * k.shape[1] * k.planes, k.words_per_pixel) for k in inputs]
        if all(kind.shape[2] % WORD_BITS == 0 for kind in inputs[:-1]):
            return _parts("bits", parts, out.words_per_pixel)
        return _parts("merge", parts, out.words_per_pixel, [kind.shape[2] for kind in inputs])


def _parts(kernel: str, parts: list[tuple[int, int]], stride: int, lengths: list[int] | None = None) -> dict[str, Any]:
    """Offsets are sums of the `lengths` before, which are the runs unless stated."""
    lengths = lengths or [run for _, run in parts]
    offsets = [sum(lengths[:i]) for i in range(len(parts))]
    return {"kernel": kernel, "parts": [(*part, stride, at) for part, at in zip(parts, offsets, strict=True)]}


Concat.CASES = tuple((Concat(axis), (TensorType((2, 3, 4)), TensorType((2, 3, 4)))) for axis in (0, 1, 2))
