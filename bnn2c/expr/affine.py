"""Collapse chains of per-channel affine operations into one `x * a + b`, in float64.

Exact in real arithmetic; the float32 result may differ by a rounding from the step-by-step chain, so the collapse is
used for real-valued outputs only, never below a discontinuous function (sign, comparison, rounding), whose ties must
stay the reference's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnn2c.expr.tree import Apply, Arg, Const, Expr, Real, apply, compress, const, fold

_PARTS = 4  # sums of level codes lie apart by multiples of a quarter
_ROUNDED = 1e-12
_LARGEST = 2.0**20
_DIGITS = 24
_REACH = 2.0**100  # products of larger factors with what a network computes might overflow
_LOST = 2.0**20  # a shift that is this much smaller than what it is added to keeps less than 5 of its 24 digits

DISCONTINUOUS = {
    "sign",
    "round",
    "floor",
    "ceil",
    "trunc",
    "ge",
    "gt",
    "le",
    "lt",
    "eq",
    "idiv",
    "mod",
    "fmod",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool",
    "not",
}


@dataclass(frozen=True)
class Affine:
    """`base * scale + shift`; base None stands for a constant.

    With `centred`, a second base and how much further that lies, `shift` belongs to the second: what lies between the
    two may be larger than `shift` by more digits than a float64 has.
    """

    base: Expr | None
    scale: Real
    shift: Real
    centred: tuple[Expr, Real] | None = None

    @property
    def whole_shift(self) -> Real:
        """The shift that belongs to `base`."""
        return self.shift if self.centred is None else self.shift + self.scale * self.centred[1]


def collapse(expr: Expr, stepwise: bool = False) -> Expr:
    """An equivalent expression with merged affine chains; stepwise, or with a decision in it, they stay as they are."""
    if stepwise or discontinuous(expr):  # only integers are centred
        return fold(expr, lambda e: e, _exact_at_ties)
    return _spell(fold(expr, _leaf, _node))


def slope(expr: Expr) -> Real | None:
    """Factor of the argument where the whole expression is `x * a + b`, [H or 1, W or 1, C or 1]; None otherwise."""
    found = fold(expr, _leaf, _node)
    return found.scale if isinstance(found.base, Arg) else None


def _exact_at_ties(e: Apply, args: Sequence[Expr]) -> Expr:
    """`base - step * acc` as `step * (M[c] - acc) + rest`: exactly 0 at a sum of 0, in float32 too."""
    if e.fn != "descend":
        return apply(e.fn, *args, params=e.params)
    base, step = (np.asarray(a.value, np.float64) for a in e.args[1:] if isinstance(a, Const))
    middle = np.rint(base / step)
    uniform = middle if (middle != middle.flat[0]).any() else middle[:1, :1, :1]
    found = apply("mul", apply("sub", const(uniform.astype(np.float32)), e.args[0]), const(step.astype(np.float32)))
    rest = (base - step * middle).astype(np.float32)
    return apply("add", found, const(rest)) if rest.any() else found


def discontinuous(expr: Expr) -> bool:
    """Whether there is a decision (sign, comparison, rounding) in the expression."""
    return fold(expr, lambda _: False, lambda e, below: e.fn in DISCONTINUOUS or any(below))


def _leaf(e: Arg | Const) -> Affine:
    if isinstance(e, Const):
        return Affine(None, np.zeros((1, 1, 1)), np.asarray(e.value, np.float64))
    return Affine(e, np.ones((1, 1, 1)), np.zeros((1, 1, 1)))


def _node(e: Apply, parts: list[Affine]) -> Affine:
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        found = _merged(e, parts)
        if found is not None and all((np.abs(n) < _REACH).all() for n in (found.scale, found.whole_shift)):
            return found
        apart = _exact_at_ties(e, [_spell(part) for part in parts])
    return Affine(apart, np.ones((1, 1, 1)), np.zeros((1, 1, 1)))


def _merged(e: Apply, parts: list[Affine]) -> Affine | None:
    """The operation as an affine image of what its operands are images of, in float64; None where it is none."""
    if e.fn == "neg":
        return _scaled(parts[0], np.full((1, 1, 1), -1.0), np.zeros((1, 1, 1)))
    if e.fn == "dequant":
        return _scaled(parts[0], np.full((1, 1, 1), e.params[0]), np.full((1, 1, 1), e.params[1]))
    if e.fn == "descend":
        return _centred(e, parts[1].shift, parts[2].shift)
    if e.fn in ("add", "sub"):
        return _sum(parts[0], parts[1], -1.0 if e.fn == "sub" else 1.0)
    if e.fn == "mul":
        for one, two in ((parts[0], parts[1]), (parts[1], parts[0])):
            if two.base is None:
                return _scaled(one, two.shift, np.zeros((1, 1, 1)))
    if e.fn == "div" and parts[1].base is None:
        return _scaled(parts[0], 1.0 / parts[1].shift, np.zeros((1, 1, 1)))
    return None


def _centred(e: Apply, base: Real, step: Real) -> Affine:
    """`base - step * acc` as `step * (M - acc) + rest` with an integer M: the difference is exact, nothing cancels.

    Where M would differ between elements (padding, say) it does so in the centred form only: there is no rest.
    """
    centre = np.rint(_PARTS * base / step) / _PARTS
    middle = float(np.rint(np.median(base / step)))
    distance = Apply("sub", (const(middle), e.args[0]))
    whole = (np.abs(base - step * centre) <= _ROUNDED * np.abs(base)).all() and np.abs(centre).max() < _LARGEST
    if not whole:
        return Affine(distance, step, base - step * middle)
    second = Apply("sub", (const(centre.astype(np.float32)), e.args[0]))
    return Affine(distance, step, np.zeros_like(base), (second, centre - middle))


def _scaled(part: Affine, factor: Real, shift: Real) -> Affine:
    return replace(part, scale=part.scale * factor, shift=part.shift * factor + shift)


def _sum(left: Affine, right: Affine, sign: float) -> Affine | None:
    """Sum of two affine images of the same base, or of one and a constant."""
    if left.base is not None and right.base is not None and left.base is not right.base:
        return None
    scale, shift = left.scale + sign * right.scale, left.shift + sign * right.shift
    return replace(right if left.base is None else left, scale=scale, shift=shift)


def _short(numbers: Real, digits: int = 4) -> bool:
    """Whether the numbers need no more than `digits` significant bits."""
    mantissa = np.frexp(numbers)[0] * 2.0**digits
    return bool((mantissa == np.rint(mantissa)).all())


def _centred_form(part: Affine) -> Affine | None:
    """The centred form, where it makes equal real numbers equal and the other form does not.

    That is where it has a shift common to all elements, or none; where all but the addition of the shift is exact; and
    where elements lie apart along an axis (the pixels of a channel: padding) that share their scale and shift.
    In the other form shifts of their own are rounded once more, and lost next to a much larger distance.
    """
    if part.centred is None:
        return None
    base, further = part.centred
    found = Affine(base, part.scale, compress(part.shift.astype(np.float32)))
    if ((part.shift != 0) & (np.abs(part.scale * further) > _LOST * np.abs(part.shift))).any():
        return found
    if _short(part.scale) and _short(part.whole_shift, _DIGITS):
        return None
    shared = zip(compress(further).shape, compress(part.scale).shape, found.shift.shape, strict=True)
    along_an_axis = any(sizes[0] > 1 and sizes[1:] == (1, 1) for sizes in shared)
    return found if found.shift.size == 1 or _short(part.scale) or along_an_axis else None


def _spell(part: Affine) -> Expr:
    """Back to an expression, in float32 constants."""
    part = _centred_form(part) or replace(part, shift=part.whole_shift, centred=None)
    if part.base is None:
        return const(part.shift.astype(np.float32))
    found = part.base
    if not (part.scale == 1).all():
        found = Apply("mul", (found, const(part.scale.astype(np.float32))))
    if not (part.shift == 0).all():
        found = Apply("add", (found, const(part.shift.astype(np.float32))))
    return found
