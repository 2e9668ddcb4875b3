"""Affine forms: an elementwise expression as sums of constants times numbers that the program has to compute.

`form = sum_i coefficient_i * base_i + shift`, in real numbers; a base is an operand of the operation or the result of a
function that is not affine. Chains of scale, shift, batch normalisation and addition collapse into one form and become
one multiply-add per operand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bnn2c.analysis.steps import Array, Classes
from bnn2c.expr import Apply, Arg, Const, Expr
from bnn2c.expr.functions import FUNCTIONS
from bnn2c.expr.tree import fold
from bnn2c.fixed_point.formats import NotFixed


@dataclass(frozen=True, eq=False)
class Base:
    """Something a form refers to: operand `index`, or the function `fn` of forms; `source` is its expression."""

    source: Expr
    fn: str = ""
    args: tuple[Form, ...] = ()
    params: tuple[float, ...] = ()
    index: int = -1


@dataclass(frozen=True, eq=False)
class Form:
    """An affine form; coefficients and shift broadcast over [row classes, column classes, C]."""

    terms: Mapping[Base, Array]
    shift: Array
    source: Expr

    @property
    def constant(self) -> bool:
        """True when the form has no term."""
        return not self.terms

    @property
    def only(self) -> Base | None:
        """The base when the form is exactly one base."""
        if len(self.terms) != 1 or self.shift.any():
            return None
        ((base, factor),) = self.terms.items()
        return base if bool((factor == 1).all()) else None

    def plus(self, other: Form, sign: float, source: Expr) -> Form:
        """Sum or difference."""
        terms = dict(self.terms)
        for base, factor in other.terms.items():
            terms[base] = terms.get(base, np.zeros((1, 1, 1))) + sign * factor
        return Form(_counting(terms), self.shift + sign * other.shift, source)

    def times(self, factor: Array, source: Expr) -> Form:
        """Product with a constant."""
        terms = {base: old * factor for base, old in self.terms.items()}
        return Form(_counting(terms), self.shift * factor, source)


def _counting(terms: Mapping[Base, Array]) -> dict[Base, Array]:
    """The terms that are not multiplied by 0 everywhere."""
    return {base: factor for base, factor in terms.items() if factor.any()}


def form_of(expr: Expr, classes: Classes) -> Form:
    """The affine form of an expression whose constants are restricted to `classes`."""

    def leaf(e: Arg | Const) -> Form:
        if isinstance(e, Const):
            value = np.asarray(e.value, np.float64)
            if not np.isfinite(value).all():
                raise NotFixed("a constant is not finite")
            return Form({}, classes.pick(value) if value.size > 1 else value.reshape(1, 1, 1), e)
        return single(Base(e, index=e.index), e)

    return fold(expr, leaf, _node)


def single(base: Base, source: Expr) -> Form:
    """The form that is one base."""
    return Form({base: np.ones((1, 1, 1))}, np.zeros((1, 1, 1)), source)


def _node(e: Apply, args: list[Form]) -> Form:
    if e.fn in ("add", "sub"):
        return args[0].plus(args[1], 1.0 if e.fn == "add" else -1.0, e)
    if e.fn == "neg":
        return args[0].times(np.full((1, 1, 1), -1.0), e)
    if e.fn == "dequant":
        scaled = args[0].times(np.full((1, 1, 1), e.params[0]), e)
        return Form(scaled.terms, scaled.shift + e.params[1], e)
    if e.fn == "descend" and args[2].constant:
        return args[1].plus(args[0].times(args[2].shift, e), -1.0, e)
    if e.fn == "mul":
        for one, two in ((args[0], args[1]), (args[1], args[0])):
            if two.constant:
                return one.times(two.shift, e)
    if e.fn == "div" and args[1].constant and bool((args[1].shift != 0).all()):
        return args[0].times(1.0 / args[1].shift, e)
    if all(a.constant for a in args):
        return Form({}, np.asarray(FUNCTIONS[e.fn].numpy(*(a.shift for a in args), *e.params), np.float64), e)
    return single(Base(e, e.fn, tuple(args), e.params), e)
