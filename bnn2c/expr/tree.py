"""Expression trees over root tensors.

A tree is made of arguments (the root tensors, physical shape [H, W, C]), constants (arrays that broadcast to [H, W,
C]) and applications of `functions.FUNCTIONS`. Trees are immutable and share sub-trees; every walk is memoised by
identity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bnn2c.expr.functions import FUNCTIONS

Real = npt.NDArray[np.floating]
T = TypeVar("T")


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


def fold(expr: Expr, leaf: Callable[[Arg | Const], T], node: Callable[[Apply, list[T]], T]) -> T:
    """Post-order walk without recursion, for printers and analyses; each shared node is visited once.

    Args:
        expr: the tree.
        leaf: what an argument or a constant gives.
        node: what an application gives, from what its operands gave.
    """
    done: dict[int, T] = {}
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
            assert isinstance(top, (Arg, Const))
            done[id(top)] = leaf(top)
            stack.pop()
    return done[id(expr)]


def evaluate(expr: Expr, roots: Sequence[Real], dtype: npt.DTypeLike = np.float32) -> Real:
    """Evaluate on root arrays that broadcast against the constants.

    Every operation is computed in `dtype`, but one with a float64 constant is computed in float64 and rounded to
    `dtype`: that is how the exact value of an integer dot product times a scale is spelled.
    """
    cast = [np.asarray(r, dtype) for r in roots]

    def leaf(e: Arg | Const) -> Real:
        if isinstance(e, Arg):
            return cast[e.index]
        return e.value if e.value.dtype == np.float64 else np.asarray(e.value, dtype)

    def node(e: Apply, args: list[Real]) -> Real:
        return np.asarray(FUNCTIONS[e.fn].numpy(*args, *e.params), dtype)

    with np.errstate(over="ignore"):  # what is beyond float32 is infinite
        return fold(expr, leaf, node)


def substitute(expr: Expr, args: Sequence[Expr]) -> Expr:
    """Replace `Arg(i)` by `args[i]`."""
    return rewrite(expr, lambda e: args[e.index] if isinstance(e, Arg) else e)


def remap_consts(expr: Expr, change: Callable[[Real], Real]) -> Expr:
    """Replace the array of every non-scalar constant by `change(array)`."""
    return rewrite(expr, lambda e: Const(change(e.value)) if isinstance(e, Const) and e.value.size > 1 else e)


def rewrite(expr: Expr, leaf: Callable[[Arg | Const], Expr]) -> Expr:
    """Rebuild the tree with every leaf replaced by `leaf(leaf node)`; unchanged parts are shared."""

    def node(e: Apply, args: list[Expr]) -> Expr:
        same = all(a is b for a, b in zip(args, e.args, strict=True))
        return e if same else apply(e.fn, *args, params=e.params)

    return fold(expr, leaf, node)


def replaced(expr: Expr, part: Expr, new: Expr) -> Expr:
    """Rebuild the tree with `new` in the place of one of its sub-trees."""

    def node(e: Apply, args: list[Expr]) -> Expr:
        return new if e is part else apply(e.fn, *args, params=e.params)

    return fold(expr, lambda e: e, node)


def uses_args(expr: Expr) -> frozenset[int]:
    """The argument numbers that occur in the tree."""
    return fold(
        expr,
        lambda e: frozenset({e.index} if isinstance(e, Arg) else ()),
        lambda _, args: frozenset[int]().union(*args),
    )


def count_nodes(expr: Expr, weigh: Callable[[Apply], int] = lambda _: 1) -> int:
    """Number of distinct applications in the tree, each as often as `weigh` says."""
    seen = [0]

    def node(e: Apply, _: list[None]) -> None:
        seen[0] += weigh(e)

    fold(expr, lambda _: None, node)
    return seen[0]
