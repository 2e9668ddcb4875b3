"""The elementwise functions an expression may use: numpy meaning and C spelling, one row each.

Every value is a real number; booleans are 0 and 1 and integers are exact reals. The numpy column is evaluated in
float32 (the reference's own arithmetic) or float64 (to find out where float32 rounding decides).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Function:
    """One elementwise function.

    Attributes:
        numpy: the meaning on equally typed real arrays.
        c: C99 spelling with `{0}`, `{1}`, … for the (parenthesised) float operands.
        monotone: +1 / -1 where the unary function never decreases / never increases, else 0.
        header: runtime header of the C spelling, bnn2c_<header>.h; only math_libm needs the C mathematical library.
    """

    numpy: Callable[..., Array]
    c: str
    monotone: int = 0
    header: str = ""

    @property
    def approximate(self) -> bool:
        """True when results are not the float32 next to the real one, as those of arithmetic are."""
        return self.header in ("exp", "math_libm")


def _bool(test: Callable[..., npt.NDArray[np.bool_]]) -> Callable[..., Array]:
    return lambda a, *rest: test(a, *rest).astype(a.dtype)


def _sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray((1 / (1 + np.exp(-x))).astype(x.dtype))


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(x.dtype.type(0), x))


def _erf(x: Array) -> Array:
    from math import erf

    return np.asarray(np.vectorize(erf, otypes=[np.float64])(x).astype(x.dtype))


def _dequant(q: Array, scale: float, offset: float) -> Array:
    return np.asarray(q.astype(np.float64) * scale + offset, q.dtype)


def _bitwise(fn: Callable[..., npt.NDArray[np.int64]]) -> Callable[..., Array]:
    """Of whole numbers between -2^32 and 2^32 in two's complement; other numbers are read as 0."""

    def run(*args: Array) -> Array:
        return fn(*(np.where(np.abs(x) < 2.0**32, x, 0).astype(np.int64) for x in args)).astype(args[0].dtype)

    return run


def _quiet(fn: Callable[..., Array]) -> Callable[..., Array]:
    def run(*args: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(fn(*args), args[0].dtype)

    return run


FUNCTIONS: dict[str, Function] = {
    "add": Function(_quiet(np.add), "{0} + {1}"),
    "sub": Function(_quiet(np.subtract), "{0} - {1}"),
    "mul": Function(_quiet(np.multiply), "{0} * {1}"),
    "div": Function(_quiet(np.divide), "{0} / {1}"),
    "neg": Function(np.negative, "-{0}", -1),
    "abs": Function(np.abs, "bnn2c_absf({0})", header="math"),
    "min": Function(np.minimum, "bnn2c_minf({0}, {1})", header="math"),
    "max": Function(np.maximum, "bnn2c_maxf({0}, {1})", header="math"),
    "relu": Function(lambda x: np.maximum(x, x.dtype.type(0)), "bnn2c_maxf({0}, 0.0f)", 1, header="math"),
    "sign": Function(np.sign, "bnn2c_signf({0})", 1, header="math"),
    "round": Function(np.rint, "bnn2c_roundf({0})", 1, header="math"),
    "floor": Function(np.floor, "bnn2c_floorf({0})", 1, header="math"),
    "ceil": Function(np.ceil, "-bnn2c_floorf(-({0}))", 1, header="math"),
    "trunc": Function(np.trunc, "bnn2c_truncf({0})", 1, header="math"),
    "sqrt": Function(_quiet(np.sqrt), "sqrtf({0})", 1, header="math_libm"),
    "exp": Function(_quiet(np.exp), "bnn2c_expf({0})", 1, header="exp"),
    "log": Function(_quiet(np.log), "logf({0})", 1, header="math_libm"),
    "tanh": Function(np.tanh, "bnn2c_tanhf({0})", 1, header="exp"),
    "sigmoid": Function(_sigmoid, "bnn2c_sigmoidf({0})", 1, header="exp"),
    "softplus": Function(_softplus, "bnn2c_softplusf({0})", 1, header="math_libm"),
    "erf": Function(_erf, "erff({0})", 1, header="math_libm"),
    "sin": Function(np.sin, "sinf({0})", header="math_libm"),
    "cos": Function(np.cos, "cosf({0})", header="math_libm"),
    "atan": Function(np.arctan, "atanf({0})", 1, header="math_libm"),
    "pow": Function(_quiet(np.power), "powf({0}, {1})", header="math_libm"),
    "idiv": Function(_quiet(lambda a, b: np.trunc(a / b)), "bnn2c_truncf({0} / {1})", header="math"),
    "mod": Function(_quiet(np.mod), "bnn2c_modf({0}, {1})", header="math"),
    "fmod": Function(_quiet(np.fmod), "fmodf({0}, {1})", header="math_libm"),
    "bit_and": Function(_bitwise(np.bitwise_and), "bnn2c_bit_andf({0}, {1})", header="math"),
    "bit_or": Function(_bitwise(np.bitwise_or), "bnn2c_bit_orf({0}, {1})", header="math"),
    "bit_xor": Function(_bitwise(np.bitwise_xor), "bnn2c_bit_xorf({0}, {1})", header="math"),
    "ge": Function(_bool(np.greater_equal), "({0} >= {1}) ? 1.0f : 0.0f"),
    "gt": Function(_bool(np.greater), "({0} > {1}) ? 1.0f : 0.0f"),
    "le": Function(_bool(np.less_equal), "({0} <= {1}) ? 1.0f : 0.0f"),
    "lt": Function(_bool(np.less), "({0} < {1}) ? 1.0f : 0.0f"),
    "eq": Function(_bool(np.equal), "({0} == {1}) ? 1.0f : 0.0f"),
    "isnan": Function(_bool(np.isnan), "({0} != {0}) ? 1.0f : 0.0f"),
    "not": Function(_bool(lambda x: x == 0), "({0} == 0.0f) ? 1.0f : 0.0f"),
    "bool": Function(_bool(lambda x: x != 0), "({0} != 0.0f) ? 1.0f : 0.0f"),
    "and": Function(_bool(lambda a, b: (a != 0) & (b != 0)), "(({0} != 0.0f) && ({1} != 0.0f)) ? 1.0f : 0.0f"),
    "or": Function(_bool(lambda a, b: (a != 0) | (b != 0)), "(({0} != 0.0f) || ({1} != 0.0f)) ? 1.0f : 0.0f"),
    "xor": Function(_bool(lambda a, b: (a != 0) ^ (b != 0)), "(({0} != 0.0f) != ({1} != 0.0f)) ? 1.0f : 0.0f"),
    "dequant": Function(_dequant, "{0} * {1} + {2}"),
    "descend": Function(lambda x, base, step: np.asarray(base - x * step), "{1} - {0} * {2}", -1),
    "where": Function(lambda c, a, b: np.asarray(np.where(c != 0, a, b)), "({0} != 0.0f) ? {1} : {2}"),
}

BOOLEAN = frozenset({"ge", "gt", "le", "lt", "eq", "isnan", "not", "bool", "and", "or", "xor"})
