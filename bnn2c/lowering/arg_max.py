"""ArgMax of real numbers that are one strictly monotone function of integers: compare the integers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bnn2c.analysis.steps import Array, Classes, classes_of
from bnn2c.expr import Arg, apply, compress, const, evaluate, remap_consts
from bnn2c.ir import Node
from bnn2c.lowering.state import Lazy, State
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.map import Map

_PARTS = 4  # sums of level codes, with their border corrections, are apart by multiples of a quarter
_SAME = 1e-9  # in sums
_STRAIGHT = 1e-12  # relative: float64 rounding
_ROUNDINGS = 16 * 2.0**-24
_LARGEST_TABLE = 1 << 22


@dataclass(frozen=True)
class Ranks:
    """The real numbers are `a * (factor * q + shift)` with one sign of a, along the channels with one a.

    Attributes:
        way: the sign of a.
        factor: positive whole number.
        shift: whole numbers [H or 1, W or 1, C or 1].
    """

    way: int
    factor: int = 1
    shift: Array | None = None


def lower_arg_max(state: State, node: Node, op: ArgMax) -> Lazy:
    """The winner among f(q) is the winner among q when f rises strictly, the loser when it falls strictly.

    f is evaluated in float32 on the whole domain of q, and must be the same function in every channel and at every
    position; or affine functions with one slope that are shifted by fractions of a sum (padding, say). Ties stay ties,
    because a strictly monotone function keeps different values different, and equal real numbers are equal integers.
    """
    lazy = state.lazies[node.inputs[0]]
    ranks = _ranks(state, lazy)
    if ranks is None:
        value = state.real(lazy, node)
    else:
        value, op = _ranked(state, lazy, node, ranks), replace(op, smallest=op.smallest ^ (ranks.way < 0))
    name = state.builder.emit(op, [value], node.output, node.origin)
    return Lazy(name, Arg(0), state.builder.types[name].shape)


def _ranked(state: State, lazy: Lazy, node: Node, ranks: Ranks) -> str:
    """The integers to compare: the root itself, or `factor * q + shift`."""
    if ranks.shift is None:
        return lazy.root
    scaled = Arg(0) if ranks.factor == 1 else apply("mul", Arg(0), const(float(ranks.factor)))
    rank = Map(apply("add", scaled, const(ranks.shift.astype(np.float32))), lazy.shape, "i32")
    return state.builder.emit(rank, [lazy.root], f"{node.output}_rank", state.origin_of(lazy, node))


def _ranks(state: State, lazy: Lazy) -> Ranks | None:
    """How the tensor is such a function of a stored integer, None when it is not."""
    domain = state.domains.get(lazy.root)
    if domain is None or lazy.root in state.pools or state.builder.types[lazy.root].storage in ("bits", "f32"):
        return None
    classes = classes_of(lazy.expr, lazy.shape)
    small = remap_consts(classes.restrict(lazy.expr), lambda v: v[..., None])
    values = np.asarray(evaluate(small, [domain.astype(np.float64)]))
    table = values.reshape(-1, len(domain))
    change = np.diff(table[0])
    if (table == table[0]).all() and (np.abs(change) > 0).all() and len(set(np.sign(change))) == 1:
        return Ranks(int(np.sign(change[0])))
    exact = np.asarray(evaluate(small, [domain.astype(np.float64)], np.float64))
    return _shifted(np.broadcast_to(exact, (*exact.shape[:2], lazy.shape[2], len(domain))), domain, classes)


def _shifted(table: Array, domain: Array, classes: Classes) -> Ranks | None:
    """Affine functions f[row, column, c](q) = a[row, column] * (q + shift[row, column, c]).

    The table is [rows, columns, C, q]. Shifts that differ by multiples of 1/4 (within float64 rounding) make whole
    numbers. Different ones must be so far apart that float32 arithmetic, in any order, does not make the real numbers
    equal.
    """
    if not np.isfinite(table).all() or table.size > _LARGEST_TABLE or len(domain) < 2:
        return None
    slope = (table[..., -1] - table[..., 0]) / (domain[-1] - domain[0])
    size = np.abs(table).max()
    straight = table[..., :1] + slope[..., None] * (domain - domain[0])
    one_slope = (np.abs(slope - slope[..., :1]) <= _STRAIGHT * np.abs(slope)).all()
    if not (one_slope and len(set(np.sign(slope).ravel())) == 1 and slope.all()):
        return None
    shifts = _PARTS * (table[..., 0] - table[..., :1, 0]) / slope
    whole = np.rint(shifts)
    unit = int(np.gcd.reduce(whole.astype(np.int64), axis=None, initial=_PARTS))
    apart = np.abs(slope).min() * unit / _PARTS > _ROUNDINGS * size
    if np.abs(straight - table).max() > _STRAIGHT * size or np.abs(shifts - whole).max() > _SAME or not apart:
        return None
    spread = (whole / unit)[classes.rows][:, classes.cols]
    return Ranks(int(np.sign(slope.flat[0])), _PARTS // unit, compress(spread))
