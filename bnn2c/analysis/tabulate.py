"""Folding by exhaustive evaluation: a chain of elementwise operators on every value its root can take.

The root takes finitely many values (an integer dot product, an 8-bit input, a level code), so the chain is evaluated
on all of them, per channel and border class, in the reference's own float32 operation order. The result *is* the
reference, tabulated; no threshold is derived by algebra. A monotone chain is evaluated only where it can change
(`refine`).
"""

from __future__ import annotations

import numpy as np

from bnn2c.analysis.refine import has_gaps, places
from bnn2c.analysis.steps import MAX_STEPS, Array, Classes, Steps, classes_of
from bnn2c.expr import Expr, evaluate, remap_consts

CHUNK = 1 << 21
LISTED = 100


def tabulate(expr: Expr, domain: Array, shape: tuple[int, int, int]) -> Steps | None:
    """Evaluate `expr` on the whole `domain` (ascending root values).

    Returns:
        the piecewise-constant function, or None when some channel changes its value more than MAX_STEPS times.
    """
    classes = classes_of(expr, shape)
    small = classes.restrict(expr)
    if not _few_steps(small, domain):
        return None
    parts = [_chunk(small, domain, classes, span) for span in _spans(classes, len(domain))]
    if any(p is None for p in parts):
        return None
    width = max(p[0].shape[-1] for p in parts if p is not None)
    breaks = np.concatenate([_widen(p[0], width, np.inf) for p in parts if p is not None], axis=2)
    values = np.concatenate([_widen(p[1], width + 1, None) for p in parts if p is not None], axis=2)
    sensitive = np.concatenate([p[2] for p in parts if p is not None])
    listed = tuple((int(channel), float(value)) for channel, value in sensitive[:LISTED])
    return Steps(breaks, values, classes, int(np.prod(classes.shape)) * len(domain), len(sensitive), listed)


def _few_steps(expr: Expr, domain: Array) -> bool:
    """A quick look at the first channel, so that real-valued chains are given up early."""
    first = remap_consts(expr, lambda v: v[:1, :1, :1])
    table = np.asarray(evaluate(first, [domain.astype(np.float32)[None, None, :]]))
    return int((table[..., 1:] != table[..., :-1]).sum()) <= MAX_STEPS


def _spans(classes: Classes, count: int) -> list[slice]:
    rows, cols, channels = classes.shape
    step = max(1, CHUNK // max(1, rows * cols * count))
    return [slice(start, min(start + step, channels)) for start in range(0, channels, step)]


def _chunk(expr: Expr, domain: Array, classes: Classes, span: slice) -> tuple[Array, Array, Array] | None:
    """Breaks, values and the rounding-sensitive (channel, root value) pairs of some channels."""
    part = remap_consts(expr, lambda v: v[:, :, span] if v.shape[2] > 1 else v)
    lifted = remap_consts(part, lambda v: v[..., None])
    shape = (*classes.shape[:2], span.stop - span.start)
    chosen = places(lifted, domain, shape)
    if chosen is not None:
        table, rounding = _evaluate(lifted, domain[chosen], shape)
        if not has_gaps(chosen, rounding):
            return _found(table, rounding, domain[chosen], span)
    return _found(*_evaluate(lifted, domain, shape), domain, span)


def _evaluate(expr: Expr, roots: Array, shape: tuple[int, int, int]) -> tuple[Array, Array]:
    """Values [rows, cols, channels, n] at the roots [..., n], and where float64 lands on another one than float32."""
    whole = (*shape, roots.shape[-1])
    table = np.broadcast_to(evaluate(expr, [roots.astype(np.float32)]), whole)
    levels = np.unique(table)
    if len(levels) < 2:
        return table, np.zeros(whole, bool)
    precise = np.broadcast_to(evaluate(expr, [roots.astype(np.float64)], np.float64), whole)
    with np.errstate(invalid="ignore"):
        return table, np.abs(precise - table) > 0.25 * np.diff(levels).min()


def _found(table: Array, rounding: Array, roots: Array, span: slice) -> tuple[Array, Array, Array] | None:
    """Breaks, values and rounding-sensitive pairs of a table of values at the roots."""
    changes = table[..., 1:] != table[..., :-1]
    width = int(changes.sum(axis=-1).max(initial=0))
    if width > MAX_STEPS or np.isnan(table).any():
        return None
    roots = np.broadcast_to(roots, table.shape)
    breaks = np.full((*table.shape[:3], width), np.inf)
    values = np.empty((*table.shape[:3], width + 1), np.float32)
    values[...] = table[..., -1:]
    values[..., 0] = table[..., 0]
    place = np.cumsum(changes, axis=-1)
    where = np.nonzero(changes)
    slot, behind = place[where] - 1, (*where[:3], where[3] + 1)
    breaks[(*where[:3], slot)] = roots[behind]
    values[(*where[:3], slot + 1)] = table[behind]
    sensitive = np.nonzero(rounding)
    return breaks, values, np.stack([sensitive[2] + span.start, roots[sensitive]], axis=1)


def _widen(array: Array, width: int, fill: float | None) -> Array:
    """Pad the last axis to `width`, with `fill` or by repeating the last entry."""
    missing = width - array.shape[-1]
    if not missing:
        return array
    tail = np.repeat(array[..., -1:], missing, axis=-1) if fill is None else np.full((*array.shape[:-1], missing), fill)
    return np.concatenate([array, tail], axis=-1)
