"""What an ONNX tensor is during import: a constant, or a view of a physical value.

A view stores, for every element of the logical ONNX tensor, its position in the physical value. Transpose, Reshape,
Slice, Split, Squeeze, Expand, reflect padding, nearest-neighbour Resize and channel shuffles only rearrange that
index map, so none of them exists at run time unless an operator needs the elements in another physical order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class View:
    """A logical tensor: `logical[i] = physical.flat[index[i]]`.

    Attributes:
        value: name of the physical IR value.
        index: int32 array of the logical shape; -1 stands for the number 0.
        dtype: numpy type of the ONNX tensor.
    """

    value: str
    index: Array
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Logical ONNX shape."""
        return self.index.shape

    def with_index(self, index: Array) -> View:
        """The same value seen through another index map."""
        return View(self.value, np.asarray(index, np.int32), self.dtype)


Tensor = View | Array


@dataclass(frozen=True)
class Parts:
    """An ONNX sequence of tensors; how many it has is known at compile time."""

    tensors: tuple[Tensor, ...]


Value = Tensor | Parts


def is_permutation(index: Array, size: int) -> bool:
    """True when the index map visits each of `size` physical elements exactly once."""
    if index.size != size or index.min(initial=0) < 0:
        return False
    seen = np.zeros(size, bool)
    seen[index.ravel()] = True
    return bool(seen.all())


def shape3(logical: tuple[int, ...]) -> tuple[int, int, int]:
    """The physical [H, W, C] of a logical shape kept in C order: leading ones dropped, leading axes merged."""
    dims = list(logical)
    while len(dims) > 3 and dims[0] == 1:
        dims.pop(0)
    while len(dims) > 3:
        dims[:2] = [dims[0] * dims[1]]
    dims = [1] * (3 - len(dims)) + dims
    return dims[0], dims[1], dims[2]


def strides_of(index: Array) -> tuple[int, ...] | None:
    """Per-axis strides when the index map is affine (`base + sum stride * i`), else None."""
    strides = []
    for axis in range(index.ndim):
        moved = np.moveaxis(index, axis, 0)
        strides.append(int(moved[1].flat[0]) - int(moved[0].flat[0]) if index.shape[axis] > 1 else 0)
    base = index.flat[0] if index.size else 0
    grid = sum(
        np.arange(n).reshape([-1 if a == k else 1 for a in range(index.ndim)]) * s
        for k, (n, s) in enumerate(zip(index.shape, strides, strict=True))
    )
    return tuple(strides) if np.array_equal(base + grid + np.zeros(index.shape, np.int64), index) else None


def storage_order(index: Array) -> list[int]:
    """Logical axes from the slowest to the fastest in memory (C order where the map is not affine)."""
    strides = strides_of(index)
    if strides is None:
        return list(range(index.ndim))
    known = [s if n > 1 else None for s, n in zip(strides, index.shape, strict=True)]
    ranked: list[float] = []
    for axis, stride in enumerate(known):
        ranked.append(float(stride) if stride is not None else (ranked[axis - 1] if axis else float("inf")))
    return sorted(range(index.ndim), key=lambda a: -ranked[a])
