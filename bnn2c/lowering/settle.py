"""Decisions on integers are settled at compile time.

A real tensor that is computed on the device may hold a decision on the sum of a binary layer: `sign(a * sum + b) * c`,
or `sign(a * sum + b) + a * sum + b`. In float32 a tie of real arithmetic would be decided by rounding, by each compiler
in its own way. The decision is a step function of the integer, so it becomes comparisons with the integers at which it
changes: `where(sum < 5, -1, 1)`. That is exact, and cheaper.
"""

from __future__ import annotations

import numpy as np

from bnn2c.analysis.steps import Array, Steps, compact, same_for_all
from bnn2c.analysis.tabulate import tabulate
from bnn2c.expr import Apply, Arg, Expr, apply, compress, const
from bnn2c.expr.tree import fold
from bnn2c.ir import Node
from bnn2c.lowering.levels import find_levels, lazy_levels
from bnn2c.lowering.state import Lazy, State

__all__ = ["settled"]

DECISIONS = frozenset(("sign", "round", "floor", "ceil", "trunc", "ge", "gt", "le", "lt", "eq"))
MOST_BREAKS = 15


def settled(state: State, lazy: Lazy, node: Node) -> Lazy:
    """The tensor with its decisions on the root as comparisons with integers.

    Of the sums of a binary layer, and where the borders differ, they become level codes when there are few levels.
    """
    domain = state.domains.get(lazy.root)
    if domain is None or not _decides(lazy.expr):
        return lazy
    sums = state.builder.types[lazy.root].storage in ("i16", "i32")
    if sums or not same_for_all(lazy.expr, lazy.shape):
        levels = find_levels(state, lazy, node)
        if levels is not None:
            return lazy_levels(state, levels)
    expr = _selection(lazy.expr, domain, lazy.shape) or _settled_inside(lazy.expr, domain, lazy.shape)
    return Lazy(lazy.root, expr, lazy.shape, lazy.origin)


def _decides(expr: Expr) -> bool:
    """Whether a decision is made on the real value of a sum."""
    found: list[bool] = []

    def node(e: Apply, on_sum: list[bool]) -> bool:
        below = e.fn == "descend" or any(on_sum)
        found.append(e.fn in DECISIONS and below)
        return below

    fold(expr, lambda _: False, node)
    return any(found)


def _settled_inside(expr: Expr, domain: Array, shape: tuple[int, int, int]) -> Expr:
    """Each decision by itself."""

    def node(e: Apply, args: list[Expr]) -> Expr:
        found = _selection(e, domain, shape) if e.fn in DECISIONS and _decides(e) else None
        return found or apply(e.fn, *args, params=e.params)

    return fold(expr, lambda e: e, node)


def _selection(expr: Expr, domain: Array, shape: tuple[int, int, int]) -> Expr | None:
    """A step function as `where(x < b0, v0, where(x < b1, v1, ...))`; None when it is none, or has too many steps."""
    steps = tabulate(expr, domain, shape)
    if steps is None:
        return None
    breaks, values = compact(steps.breaks, steps.values)
    count = breaks.shape[-1]
    if count > (MOST_BREAKS if steps.classes.shape[:2] == (1, 1) else 1):
        return None
    found = _spread(values[..., count], steps)
    for j in range(count - 1, -1, -1):
        below = apply("lt", Arg(0), _spread(breaks[..., j], steps))
        found = apply("where", below, _spread(values[..., j], steps), found)
    return found


def _spread(table: Array, steps: Steps) -> Expr:
    """A constant per class as one per position where there are several classes."""
    rows = table[steps.classes.rows] if table.shape[0] > 1 else table
    full = rows[:, steps.classes.cols] if table.shape[1] > 1 else rows
    return const(compress(np.asarray(full, np.float32)))
