"""Piecewise-constant functions of a root tensor, one per class of positions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn2c.expr import Arg, Const, Expr, remap_consts
from bnn2c.expr.tree import fold

Array = npt.NDArray[Any]
MAX_STEPS = 64
INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Classes:
    """Rows and columns of an [H, W, C] tensor grouped by equal constants of an expression.

    Attributes:
        rows: class number of each row, [H]; `cols`: of each column, [W].
        row_of: one representative row per class; `col_of`: one column per class.
        channels: C.
    """

    rows: Array
    cols: Array
    row_of: Array
    col_of: Array
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """[row classes, column classes, channels]."""
        return len(self.row_of), len(self.col_of), self.channels

    def restrict(self, expr: Expr) -> Expr:
        """The expression on the representatives only."""
        return remap_consts(expr, self.pick)

    def pick(self, value: Array) -> Array:
        """A constant at the representatives only."""
        value = value[self.row_of] if value.shape[0] > 1 else value
        return value[:, self.col_of] if value.shape[1] > 1 else value


@dataclass(frozen=True)
class Steps:
    """`f(x) = values[j]` where j is the number of breaks that are <= x.

    Attributes:
        breaks: [rows, cols, C, m], ascending, padded with +inf; in units of the root's stored value.
        values: float32 [rows, cols, C, m + 1].
        classes: which positions share an entry.
        evaluated: number of (class, channel, root value) triples at which the reference chain was evaluated.
        sensitive: how many of them float32 and float64 arithmetic decide differently.
        rounding: the first of those, as (channel, root value), for the report.
    """

    breaks: Array
    values: Array
    classes: Classes
    evaluated: int
    sensitive: int = 0
    rounding: tuple[tuple[int, float], ...] = ()


def of_integers(steps: Steps) -> Steps:
    """Steps of a float32 root `float32(n)` as those of the int32 number n that it was converted from.

    `float32(n) >= b` holds from the first whole number on that float32 rounds to b or above; it lies next to the middle
    between b and the float32 number below. Behind a break that no int32 number reaches nothing changes any more.
    """
    below = np.nextafter(steps.breaks.astype(np.float32), np.float32(-np.inf)).astype(np.float64)
    first = np.ceil((below + steps.breaks) / 2)
    first = np.where(first.astype(np.float32) >= steps.breaks, first, first + 1)
    values = steps.values.copy()
    for step in range(first.shape[-1]):
        reached = first[..., step] <= INT32.max
        values[..., step + 1] = np.where(reached, values[..., step + 1], values[..., step])
    return replace(steps, breaks=np.clip(first, INT32.min, INT32.max), values=values)


def constants(expr: Expr) -> list[Array]:
    """The arrays of all non-scalar constants."""
    found: list[Array] = []

    def leaf(e: Arg | Const) -> None:
        if isinstance(e, Const) and e.value.size > 1:
            found.append(e.value)

    fold(expr, leaf, lambda *_: None)
    return found


def classes_of(expr: Expr, shape: tuple[int, int, int]) -> Classes:
    """Group rows and columns along which no constant of the expression differs."""
    arrays = constants(expr)
    rows, row_of = _group(arrays, shape[0], 0)
    cols, col_of = _group(arrays, shape[1], 1)
    return Classes(rows, cols, row_of, col_of, shape[2])


def same_for_all(expr: Expr, shape: tuple[int, int, int]) -> bool:
    """Whether no constant of the expression differs between rows or columns."""
    return classes_of(expr, shape).shape[:2] == (1, 1)


def _group(arrays: list[Array], size: int, axis: int) -> tuple[Array, Array]:
    varying = [np.moveaxis(a, axis, 0).reshape(size, -1) for a in arrays if a.shape[axis] > 1]
    if not varying:
        return np.zeros(size, np.int64), np.zeros(1, np.int64)
    seen: dict[bytes, int] = {}
    labels = [seen.setdefault(b"".join(v[i].tobytes() for v in varying), len(seen)) for i in range(size)]
    first = [labels.index(k) for k in range(len(seen))]
    return np.asarray(labels), np.asarray(first)


def compact(breaks: Array, values: Array) -> tuple[Array, Array]:
    """Drop break columns that no class uses."""
    used = int(np.isfinite(breaks).sum(axis=-1).max(initial=0))
    return breaks[..., :used], values[..., : used + 1]
