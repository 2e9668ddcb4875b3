"""Expression trees over root tensors.

A tree is made of arguments (the root tensors, physical shape [H, W, C]), constants (arrays that broadcast to [H, W,
C]) and applications of `functions.FUNCTIONS`. Trees are immutable and share sub-trees; every walk is memoised by
identity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn2c.expr.functions import FUNCTIONS

Real = npt.NDArray[np.floating]


class Expr:
    """Base class of expression nodes; compared by identity."""


@dataclass(frozen=True, eq=False)
class Arg(Expr):
    """The root tensor number `index`."""

    index: int


@dataclass(frozen=True, eq=False)
class Const(Expr):
    """A constant of shape [H or 1, W or 1, C or 1]."""

    value: Real


@dataclass(frozen=True, eq=False)
class Apply(Expr):
    """The function `fn` of `FUNCTIONS` applied to `args`; `params` are further scalar operands, kept in float64."""

    fn: str
    args: tuple[Expr, ...]
    params: tuple[float, ...] = ()


def const(value: float | Real) -> Const:
    """A constant node; scalars become shape [1, 1, 1]. float64 values keep their precision."""
    array = np.asarray(value)
    if array.dtype != np.float64 or array.ndim == 0:
        array = array.astype(np.float32)
    return Const(array.reshape((1,) * (3 - array.ndim) + array.shape))


def compress(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Replace every axis along which the array does not vary by an axis of size 1."""
    for axis in range(array.ndim):
        first = array.take([0], axis)
        if array.shape[axis] > 1 and bool((array == first).all()):
            array = first
    return array


def apply(fn: str, *args: Expr, params: tuple[float, ...] = ()) -> Expr:
    """Apply `fn`, folding it at once when every argument is constant (in float32, as the reference would)."""
    if args and all(isinstance(a, Const) for a in args):
        return Const(np.asarray(evaluate(Apply(fn, args, params), ())))
    return Apply(fn, args, params)


def _walk(expr: Expr, leaf: Callable[[Expr], object], node: Callable[[Apply, list[object]], object]) -> object:
    """Post-order walk without recursion; each shared node is visited once."""
    done: dict[int, object] = {}
    stack: list[Expr] = [expr]
    while stack:
        top = stack[-1]
        if id(top) in done:
            stack.pop()
        elif isinstance(top, Apply):
            missing = [a for a in top.args if id(a) not in done]
            if missing:
                stack.extend(missing)
                continue
            done[id(top)] = node(top, [done[id(a)] for a in top.args])
            stack.pop()
        else:
            done[id(top)] = leaf(top)
            stack.pop()
    return done[id(expr)]


def evaluate(expr: Expr, roots: Sequence[Real], dtype: npt.DTypeLike = np.float32) -> Real:
    """Evaluate on root arrays that broadcast against the constants.

    Every operation is computed in `dtype`, but one with a float64 constant is computed in float64 and rounded to
    `dtype`: that is how the exact value of an integer dot product times a scale is spelled.
    """
    cast = [np.asarray(r, dtype) for r in roots]

    def leaf(e: Expr) -> object:
        if isinstance(e, Arg):
            return cast[e.index]
        value = e.value  # type: ignore[attr-defined]
        return value if value.dtype == np.float64 else np.asarray(value, dtype)

    def node(e: Apply, args: list[object]) -> object:
        return np.asarray(FUNCTIONS[e.fn].numpy(*args, *e.params), dtype)

    with np.errstate(over="ignore"):  # what is beyond float32 is infinite
        return _walk(expr, leaf, node)  # type: ignore[return-value]


def substitute(expr: Expr, args: Sequence[Expr]) -> Expr:
    """Replace `Arg(i)` by `args[i]`."""
    return rewrite(expr, lambda e: args[e.index] if isinstance(e, Arg) else e)


def remap_consts(expr: Expr, change: Callable[[Real], Real]) -> Expr:
    """Replace the array of every non-scalar constant by `change(array)`."""
    return rewrite(expr, lambda e: Const(change(e.value)) if isinstance(e, Const) and e.value.size > 1 else e)


def rewrite(expr: Expr, leaf: Callable[[Expr], Expr]) -> Expr:
    """Rebuild the tree with every leaf replaced by `leaf(leaf node)`; unchanged parts are shared."""

    def node(e: Apply, args: list[object]) -> object:
        same = all(a is b for a, b in zip(args, e.args, strict=True))
        return e if same else apply(e.fn, *args, params=e.params)  # type: ignore[arg-type]

    return _walk(expr, leaf, node)  # type: ignore[return-value]


def replaced(expr: Expr, part: Expr, new: Expr) -> Expr:
    """Rebuild the tree with `new` in the place of one of its sub-trees."""

    def node(e: Apply, args: list[object]) -> object:
        return new if e is part else apply(e.fn, *args, params=e.params)  # type: ignore[arg-type]

    return _walk(expr, lambda e: e, node)  # type: ignore[return-value]


def uses_args(expr: Expr) -> frozenset[int]:
    """The argument numbers that occur in the tree."""
    found: set[int] = set()

    def leaf(e: Expr) -> object:
        if isinstance(e, Arg):
            found.add(e.index)
        return e

    _walk(expr, leaf, lambda e, _: e)
    return frozenset(found)


def count_nodes(expr: Expr, weigh: Callable[[Apply], int] = lambda _: 1) -> int:
    """Number of distinct applications in the tree, each as often as `weigh` says."""
    seen = [0]

    def node(e: Apply, _: list[object]) -> object:
        seen[0] += weigh(e)
        return e

    _walk(expr, lambda e: e, node)
    return seen[0]


def fold(expr: Expr, leaf: Callable[[Expr], object], node: Callable[[Apply, list[object]], object]) -> object:
    """Public memoised post-order fold, for printers and analyses."""
    return _walk(expr, leaf, node)
