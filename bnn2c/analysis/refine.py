"""Where a monotone chain of float32 operators has to be evaluated, so that it is known on its whole domain.

Addition, multiplication, comparison, rounding and their like never change direction in exact arithmetic, and rounding
to float32 keeps the order. So a chain of them, whose other operands are constants, is constant between two numbers of
its domain that give the same value: only where values differ the numbers between have to be looked at. Infinities and
NaN, which have no order, cannot be between two ends at which every operator's result is finite.
"""

from __future__ import annotations

import numpy as np

from bnn2c.analysis.steps import MAX_STEPS, Array
from bnn2c.expr import Apply, Const, Expr, evaluate
from bnn2c.expr.functions import BOOLEAN, FUNCTIONS
from bnn2c.expr.tree import fold

_SMALL = 4096  # domains up to here are looked at number by number
_ORDERED = frozenset({"add", "sub", "mul", "min", "max", "ge", "gt", "le", "lt", "dequant"})


def is_monotone(expr: Expr) -> bool:
    """Whether every function in the tree keeps or reverses the order of its only operand that is not constant."""

    def node(e: Apply, below: list[bool | None]) -> bool | None:
        moving = [known for known in below if known is not None]
        if len(moving) != 1:
            return False if moving else None
        return moving[0] and (e.fn in _ORDERED or _unary(e.fn) or (below[0] is not None and _first(e)))

    return bool(fold(expr, lambda e: None if isinstance(e, Const) else True, node))


def _unary(name: str) -> bool:
    """A function of one operand whose results are the float32 next to the real ones."""
    return FUNCTIONS[name].monotone != 0 and not FUNCTIONS[name].approximate


def _first(e: Apply) -> bool:
    """A function that is monotone in its first operand: a dividend, or a decision between two constants."""
    decided = isinstance(e.args[0], Apply) and e.args[0].fn in BOOLEAN
    return e.fn == "div" or (e.fn == "where" and decided)


def _is_bounded(expr: Expr, ends: Array) -> bool:
    """Whether the results of all operators are finite at both ends, in float32 and in float64."""
    parts: list[Expr] = []
    fold(expr, lambda _: None, lambda e, _: parts.append(e))
    kinds = (np.float32, np.float64)
    return all(bool(np.isfinite(evaluate(part, [ends.astype(kind)], kind)).all()) for part in parts for kind in kinds)


def places(expr: Expr, domain: Array, shape: tuple[int, int, int]) -> Array | None:
    """Numbers of the elements of `domain` that show every change of the chain, ascending.

    Args:
        expr: constants have a fourth axis of size 1.
        domain: ascending values of its root.
        shape: [rows, cols, channels] of its results.

    Returns:
        int64 [rows, cols, channels, places], the first and the last element among them; None when all are needed.
    """
    if len(domain) <= _SMALL or not (is_monotone(expr) and _is_bounded(expr, domain[[0, -1]])):
        return None
    step = int(np.sqrt(len(domain)))
    coarse = np.append(np.arange(0, len(domain) - 1, step), len(domain) - 1)
    changed = np.zeros((*shape, len(coarse) - 1), bool)
    for kind in (np.float32, np.float64):
        table = np.broadcast_to(evaluate(expr, [domain[coarse].astype(kind)], kind), (*shape, len(coarse)))
        changed |= table[..., 1:] != table[..., :-1]
    most = int(changed.sum(axis=-1).max())
    if most > MAX_STEPS or most * step > len(domain) // 2:
        return None
    spans = np.argsort(~changed, axis=-1, kind="stable")[..., :most]  # those that change, and some that do not
    within = np.minimum(coarse[spans][..., None] + np.arange(1, step), coarse[spans + 1][..., None])
    every = np.broadcast_to(coarse, (*shape, len(coarse)))
    return np.sort(np.concatenate([every, within.reshape(*shape, -1)], axis=-1), axis=-1)


def has_gaps(chosen: Array, marked: Array) -> bool:
    """Whether an element beside a marked one was not chosen, so that it could be marked, too."""
    apart = np.diff(chosen, axis=-1) > 1
    return bool((marked[..., 1:] & apart).any() or (marked[..., :-1] & apart).any())
