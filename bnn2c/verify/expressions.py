"""Error bounds of elementwise expressions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bnn2c.expr import Apply, Arg, Const, Expr
from bnn2c.expr.functions import FUNCTIONS
from bnn2c.expr.tree import fold
from bnn2c.verify.bounded import NEXT, UNIT, Array, Bounded, half_rounding, inexact
from bnn2c.verify.decisions import Decider, Step

__all__ = ["DECISIONS", "evaluate_bounded"]

_LIBRARY = 6 * UNIT  # functions of libraries, and of bnn2c_exp.h, differ by up to 3 units in the last place
_ABSOLUTE = {"sigmoid": 2 * UNIT, "tanh": 2.0**-141}  # onnxruntime's rational approximations: 0 instead of 9e-8, 1e-43
_STEPS = frozenset(("sign", "round", "floor", "ceil", "trunc", "idiv"))
_COMPARE = frozenset(("ge", "gt", "le", "lt", "eq"))
_TRUTH = frozenset(("bool", "not"))
_WHOLE = {"mod": np.floor, "fmod": np.trunc}
DECISIONS = _STEPS | _COMPARE | _TRUTH
_TESTS = frozenset(("isnan", "and", "or", "xor", "bit_and", "bit_or", "bit_xor"))
_SUMS = {"add": 1, "sub": 1, "descend": 3}  # units of rounding, relative to the magnitudes of the operands
_ROUNDED = frozenset(("add", "sub", "mul", "div", "sqrt", "dequant", "descend"))
Numbers = tuple[Array, ...]


def evaluate_bounded(
    expr: Expr, roots: Sequence[Bounded], site: str, decide: Decider, half: bool = False, real: type = np.float32
) -> Bounded:
    """Evaluate an expression, as `expr.evaluate` does, together with the error bound of float32.

    Args:
        expr: the expression.
        roots: its arguments.
        site: name for the decisions in it; `#1`, `#2`, … is added from the second function on.
        decide: takes the decisions.
        half: another execution may round every result to float16.
        real: numpy type to compute in.
    """
    count = 0

    def leaf(e: Arg | Const) -> Bounded:
        if isinstance(e, Arg):
            root = roots[e.index]
            return Bounded(np.asarray(root.value, real), root.error, root.unsure)
        return Bounded(e.value, np.zeros(1))

    def node(e: Apply, args: list[Bounded]) -> Bounded:
        nonlocal count
        label = f"{site}#{count}" if count else site
        count += 1
        found = _applied(e, args, label, decide, real)
        if half and e.fn not in DECISIONS:
            return Bounded(found.value, found.error + half_rounding(found.value), found.unsure)
        return found

    return fold(expr, leaf, node)


def _applied(e: Apply, args: Sequence[Bounded], site: str, decide: Decider, kind: type) -> Bounded:
    fn = FUNCTIONS[e.fn].numpy
    with np.errstate(all="ignore"):
        value: Array = np.asarray(fn(*(a.value for a in args), *e.params), kind)
        real = tuple(a.value.astype(np.float64) for a in args)
        errors = tuple(np.asarray(a.error, np.float64) for a in args)
        if e.fn in _TESTS:
            return Bounded(value, np.zeros(1))
        if e.fn in DECISIONS:
            return _decided(e.fn, value, real, errors, site, decide)
        if e.fn in _WHOLE:
            return _remainder(e.fn, value, real, errors, site, decide)
        if e.fn == "where":
            return _chosen(value, args, errors)
        error = PROPAGATE[e.fn](real, errors) if e.fn in PROPAGATE else _by_ends(fn, real, errors)
        error = error + _own_error(e, value, real)
        return Bounded(value, np.nan_to_num(np.broadcast_to(error, value.shape), nan=0.0, posinf=0.0))


def _own_error(e: Apply, value: Array, real: Numbers) -> Array:
    """Rounding of the function itself; a sum may have been contracted with the products before it."""
    if e.fn in _ROUNDED:
        exact = np.asarray(FUNCTIONS[e.fn].numpy(*real, *e.params), np.float64)
        if e.fn not in _SUMS:
            return inexact(value, exact)
        if e.fn == "descend":
            size, lost = np.abs(real[0] * real[2]) + np.abs(real[1]), np.zeros(1)
        else:
            right = real[1] if e.fn == "add" else -real[1]
            size, lost = np.abs(real[0]) + np.abs(right), _lost(exact, real[0], right)
        return np.where((value == exact) & (lost == 0), 0.0, _SUMS[e.fn] * UNIT * size)
    return _LIBRARY * np.abs(value) + _ABSOLUTE.get(e.fn, 0.0) if FUNCTIONS[e.fn].approximate else np.zeros(1)


def _lost(total: Array, left: Array, right: Array) -> Array:
    """What a float64 sum lost, as of 0.5 + 1e-20 (Knuth, The Art of Computer Programming 2, section 4.2.2)."""
    part = total - left
    return np.asarray((left - (total - part)) + (right - part))


def _decided(fn: str, value: Array, real: Numbers, errors: Numbers, site: str, decide: Decider) -> Bounded:
    """A step of one number or the comparison of two: exact afterwards, whatever was decided."""
    numpy = FUNCTIONS[fn].numpy
    if fn in _COMPARE:
        gap, error = real[0] - real[1], errors[0] + errors[1]
        zero = np.zeros(1)
        ends = [numpy(gap - error, zero), numpy(gap, zero), numpy(gap + error, zero)]
        ends.append(np.where(np.abs(gap) <= error, numpy(zero, zero), ends[1]))
    elif fn in _TRUTH:
        nothing = np.where(np.abs(real[0]) <= errors[0], 0.0, real[0])
        something = np.where((real[0] == 0) & (errors[0] > 0), 1.0, real[0])
        ends = [numpy(nothing), numpy(something)]
    elif fn == "idiv":
        ends = [value.astype(np.float64)]
    else:
        ends = [numpy(real[0] - errors[0]), numpy(real[0] + errors[0])]
    stack = [np.broadcast_to(np.asarray(end, np.float32), value.shape) for end in ends]
    low, high = np.minimum.reduce([value, *stack]), np.maximum.reduce([value, *stack])
    chosen, unsure = decide(Step(site, value, low, high, tie=_on_tie(fn, value, real, errors)))
    return Bounded(chosen, np.zeros(1), unsure)


def _on_tie(fn: str, value: Array, real: Numbers, errors: Numbers) -> Array:
    """The results when numbers next to a tie are on it; ties of single numbers are multiples of a half."""
    numpy = FUNCTIONS[fn].numpy
    if fn in _COMPARE:
        near, tie = np.abs(real[0] - real[1]) <= NEXT * (errors[0] + errors[1]), numpy(real[0], real[0])
    elif fn == "idiv":
        return value
    else:
        half = np.rint(2 * real[0]) / 2
        near, tie = np.abs(real[0] - half) <= NEXT * errors[0], numpy(half)
    return np.broadcast_to(np.where(near, tie, value).astype(np.float32), value.shape)


def _remainder(fn: str, value: Array, real: Numbers, errors: Numbers, site: str, decide: Decider) -> Bounded:
    """`a - b * q`, where the whole quotient q is decided: next to a multiple of b the remainder jumps by b."""
    whole, (a, b) = _WHOLE[fn], real
    ends = [whole((a + x * errors[0]) / (b + y * errors[1])) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    quotients = np.stack([np.broadcast_to(np.nan_to_num(q, posinf=0.0, neginf=0.0), value.shape) for q in ends])
    own = quotients[len(ends) // 2]
    chosen, unsure = decide(Step(site, own, quotients.min(axis=0), quotients.max(axis=0)))
    found = np.where(chosen == own, value, (a - chosen * b).astype(value.dtype))
    return Bounded(found, np.broadcast_to(errors[0] + np.abs(chosen) * errors[1], value.shape), unsure)


def _chosen(value: Array, args: Sequence[Bounded], errors: Numbers) -> Bounded:
    """`where`: an undecided condition matters only as far as the branches meet there (a continuous kink)."""
    condition, left, right = args
    error = np.where(condition.value != 0, errors[1], errors[2])
    if condition.unsure is not None:
        gap = np.abs(left.value.astype(np.float64) - right.value)
        joined = condition.unsure & (gap <= errors[1] + errors[2])
        error = np.where(joined, np.maximum(errors[1], errors[2]) + gap, error)
    return Bounded(value, np.broadcast_to(error, value.shape))


def _sum(x: Numbers, e: Numbers) -> Array:
    return np.asarray(e[0] + e[1])


def _product(x: Numbers, e: Numbers) -> Array:
    return np.asarray(np.abs(x[0]) * e[1] + np.abs(x[1]) * e[0] + e[0] * e[1])


def _quotient(x: Numbers, e: Numbers) -> Array:
    return np.asarray((e[0] + np.abs(x[0] / x[1]) * e[1]) / np.maximum(np.abs(x[1]) - e[1], np.finfo(np.float32).tiny))


def _increasing(fn: Callable[..., Array]) -> Callable[[Numbers, Numbers], Array]:
    """A function that grows with all arguments: what it gives at the ends of their intervals (a clip has no error)."""

    def rule(x: Numbers, e: Numbers) -> Array:
        middle = fn(*x)
        low, high = (fn(*(a + sign * error for a, error in zip(x, e, strict=True))) for sign in (-1, 1))
        return np.asarray(np.maximum(middle - low, high - middle))

    return rule


def _same(x: Numbers, e: Numbers) -> Array:
    return e[0]


def _by_ends(fn: Callable[..., Array], x: Numbers, e: Numbers) -> Array:
    """A smooth function: its change towards both ends of the first argument's interval."""
    if not any(error.any() for error in e):
        return np.zeros(1)
    middle = fn(*x)
    below, above = fn(x[0] - e[0], *x[1:]), fn(x[0] + e[0], *x[1:])
    return np.asarray(np.maximum(np.abs(below - middle), np.abs(above - middle)))


PROPAGATE: dict[str, Callable[[Numbers, Numbers], Array]] = {
    "add": _sum,
    "sub": _sum,
    "mul": _product,
    "div": _quotient,
    "min": _increasing(np.minimum),
    "max": _increasing(np.maximum),
    "neg": _same,
    "abs": _same,
    "dequant": _same,
    "descend": lambda x, e: np.asarray(e[0] * np.abs(x[2])),
    "sin": _same,
    "cos": _same,
}
