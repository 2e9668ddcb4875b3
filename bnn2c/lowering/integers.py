"""Tensors that are affine images of 8-bit integers: of an input, through a table of 256 entries, or of a quantiser.

A quantiser, in whatever spelling, is a part of a chain that gives whole numbers in the range of 8 bits, such that all
that follows depends on these alone: `scale * (clip(round(x / scale) + zero) - zero)`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.analysis.intervals import ANY, Interval, interval_of
from bnn2c.analysis.steps import Array, constants
from bnn2c.expr import Apply, Arg, Const, Expr, evaluate
from bnn2c.expr.functions import BOOLEAN
from bnn2c.expr.tree import fold, replaced
from bnn2c.ir import Node
from bnn2c.lowering.state import INTEGER_DOMAINS, Lazy, State
from bnn2c.ops.byte_table import ByteTable
from bnn2c.ops.map import Map

TOLERANCE = 1e-6
ROUNDED = frozenset(("round", "floor", "ceil", "trunc", "sign", "idiv", "bit_and", "bit_or", "bit_xor", *BOOLEAN))
KEEP_WHOLE = frozenset(("add", "sub", "mul", "neg", "abs", "min", "max", "relu", "where"))
Affine = tuple[float, float]


def integer_input(state: State, node: Node, lazy: Lazy) -> tuple[str, Affine] | None:
    """An 8-bit value q and (scale, offset) with `real = scale * q + offset` up to float32 rounding, or None.

    A chain on an 8-bit input that is not affine (a quantiser, say) is affine in its own level number when its levels
    are equally spaced: then a table maps one byte to another.
    """
    if lazy.root in state.pools or state.builder.types[lazy.root].storage not in INTEGER_DOMAINS:
        return None
    if constants(lazy.expr):  # a function of its own for every channel or position
        return None
    domain = state.domains[lazy.root]
    values = np.asarray(evaluate(lazy.expr, [domain.astype(np.float64)], np.float64)).reshape(-1)
    if values.size != len(domain) or not np.isfinite(values).all():
        return None
    straight = _line(domain, values)
    if straight is not None:
        return lazy.root, straight
    return _through_table(state, node, lazy, values)


def _line(domain: Array, values: Array) -> Affine | None:
    scale = (values[-1] - values[0]) / (domain[-1] - domain[0])
    offset = values[0] - scale * domain[0]
    straight = np.abs(values - (scale * domain + offset)).max() <= TOLERANCE * np.abs(values).max()
    return (float(scale), float(offset)) if straight and scale != 0 else None


def _through_table(state: State, node: Node, lazy: Lazy, values: Array) -> tuple[str, Affine] | None:
    """Level numbers as bytes, when the levels are multiples of their smallest distance."""
    levels = np.unique(values)
    if state.builder.types[lazy.root].storage != "u8" or len(levels) < 2:
        return None
    unit = float(np.diff(levels).min())
    numbers = (values - levels[0]) / unit
    whole = np.rint(numbers)
    if whole.max() > 255 or np.abs(numbers - whole).max() > 1e-3:
        return None
    unit = float((levels[-1] - levels[0]) / whole.max())
    if np.abs(levels[0] + unit * whole - values).max() > TOLERANCE * np.abs(values).max():
        return None
    key = ("bytes", lazy.root, whole.tobytes())
    table = ByteTable(whole.astype(np.uint8))
    name = state.once(key, lambda: state.builder.emit(table, [lazy.root], f"{node.output}_bytes", node.origin))
    return name, (unit, float(levels[0]))


def on_bytes(state: State, node: Node, lazy: Lazy) -> Lazy:
    """A tensor that is a function of the whole numbers of a quantiser, with these as its root; else the same."""
    bytes_already = lazy.root not in state.pools and state.builder.types[lazy.root].storage in INTEGER_DOMAINS
    found = None if bytes_already else _whole_numbers(lazy)
    if found is None:
        return lazy
    whole, storage = found
    rest = replaced(lazy.expr, whole, Arg(0))
    name = state.once(("whole", lazy.root, whole), lambda: _stored(state, node, replace(lazy, expr=whole), storage))
    return replace(lazy, root=name, expr=rest)


def _stored(state: State, node: Node, whole: Lazy, storage: str) -> str:
    """Emit whole numbers as bytes."""
    root, expr = state.value_of(whole, node)
    made = Map(expr, whole.shape, storage)
    name = state.builder.emit(made, [root], f"{node.output}_whole", state.origin_of(whole, node))
    state.domains[name] = np.arange(INTEGER_DOMAINS[storage][0], INTEGER_DOMAINS[storage][1] + 1)
    return name


def _whole_numbers(lazy: Lazy) -> tuple[Expr, str] | None:
    """The last part of the chain with values that a byte holds and on which alone the rest depends; its storage."""
    whole: set[int] = set()

    def node(e: Apply, args: list[bool]) -> bool:
        found = e.fn in ROUNDED or (e.fn in KEEP_WHOLE and all(args[e.fn == "where" :]))
        if found:
            whole.add(id(e))
        return found

    fold(lazy.expr, lambda e: isinstance(e, Const) and bool((e.value == np.rint(e.value)).all()), node)
    part: Expr | None = lazy.expr
    while isinstance(part, Apply):
        storage = _storage(interval_of(Map(part, lazy.shape), [ANY], [lazy.shape])) if id(part) in whole else None
        if storage is not None:
            return part, storage
        part = _only_operand(part)
    return None


def _storage(interval: Interval) -> str | None:
    """The 8-bit type that holds the whole interval."""
    fits = [k for k, (low, high) in INTEGER_DOMAINS.items() if low <= interval[0] and interval[1] <= high]
    return fits[0] if fits else None


def _only_operand(e: Apply) -> Expr | None:
    """The one operand that is no number; None when there are several, or constants of channels or positions."""
    others = {id(a): a for a in e.args if not (isinstance(a, Const) and a.value.size == 1)}
    return next(iter(others.values())) if len(others) == 1 else None
