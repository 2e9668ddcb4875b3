"""Affine forms in integer arithmetic: the largest common shift that cannot overflow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.fixed_point.formats import NotFixed, Number
from bnn2c.fixed_point.program import INT32, Step

HALF, NONE, ALL = 0.5, 0.0, 1.0
SMALL_ERROR = 1.01
WIDE_BITS = 61
FARTHEST = 2.0**30


@dataclass(frozen=True)
class ScaledSum:
    """`sum_i round(ratio_i * 2^shift) * v_i + round(offset * 2^shift)` as one step.

    Attributes:
        step: the sum, rounding constant included.
        shift: binary digits behind the point.
        bound: largest magnitude of the sum.
    """

    step: Step
    shift: int
    bound: int


def scaled_sum(
    numbers: Sequence[Number], ratios: Sequence[Array], offset: Array, rounding: float, allowed: float = SMALL_ERROR
) -> ScaledSum:
    """The sum of `ratio * number + offset` with as many binary digits as int32 holds.

    The error of rounding the ratios is at most `sum_i |v_i - centre_i| * 2^-(shift + 1)`. Where that is more than
    twice what is allowed, in units of the result, the sum is computed in int64; where fewer digits do, the factors
    have 16 bits.

    Args:
        numbers: the operands.
        ratios: real factor of each, in units of the result.
        offset: real constant, in units of the result.
        rounding: what is added before the shift: HALF rounds to nearest, NONE down, ALL up.
        allowed: error from rounding the factors, in units of the result, for which 16-bit factors are taken.
    """
    offset = np.clip(offset, -FARTHEST, FARTHEST)
    if any(float(np.abs(r).max()) >= FARTHEST for r in ratios):
        raise NotFixed("a factor is too large for the calibrated range of its result")
    largest = float(np.abs(offset).max(initial=0)) + 1.0
    largest += sum(float(np.abs(r).max()) * n.size for r, n in zip(ratios, numbers, strict=True))
    slack = 2 * sum(n.size for n in numbers) + 1
    shift = _digits((INT32 - slack) / largest, 30)
    shift = min(shift, max(_short_digits(ratios), _needed_digits(numbers, allowed)))
    error = _error(numbers, shift)
    exact = all((np.rint(r * 2.0 ** max(shift, 0)) == r * 2.0 ** max(shift, 0)).all() for r in ratios)
    if shift >= 0 and (error <= 2 * allowed or exact):
        return _narrow_sum(numbers, ratios, offset, rounding, _reduced(ratios, offset, shift))
    return _wide_sum(numbers, ratios, offset, rounding, largest)


def _error(numbers: Sequence[Number], shift: int) -> float:
    """Largest effect of rounding the ratios on numbers as calibration saw them, in units of the result."""
    return sum(n.usual for n in numbers if n.size > 1) * 2.0 ** -(shift + 1)


def _short_digits(ratios: Sequence[Array]) -> int:
    """Digits with which all factors that become arrays have 16 bits: half the flash."""
    largest = max([float(np.abs(r).max()) for r in ratios if np.ptp(r) > 0], default=0.0)
    return _digits(32767 / largest, 30) if largest > 0 else 30


def _needed_digits(numbers: Sequence[Number], allowed: float) -> int:
    """Digits that keep the error within what is allowed."""
    return max(0, math.ceil(math.log2(max(_error(numbers, 0) / allowed, 1.0))))


def _digits(room: float, most: int) -> int:
    return min(most, math.floor(math.log2(room))) if room > 0 else -1


def _reduced(ratios: Sequence[Array], offset: Array, shift: int) -> int:
    """No digits at all when every constant is an integer."""
    return 0 if all((np.rint(x) == x).all() for x in (*ratios, offset)) else shift


def _factors(ratios: Sequence[Array], shift: int) -> list[Array]:
    return [np.rint(r * 2.0**shift).astype(np.int64) for r in ratios]


def _added(shift: int, rounding: float) -> int:
    return 0 if rounding == NONE else (1 << shift) >> 1 if rounding == HALF else (1 << shift) - 1


def _bias(
    numbers: Sequence[Number], ratios: Sequence[Array], factors: Sequence[Array], offset: Array, shift: int
) -> Array:
    """The constant that makes the sum exact where every operand is in the middle of its range."""
    middle = offset + sum((r * n.centre for r, n in zip(ratios, numbers, strict=True)), np.zeros((1, 1, 1)))
    taken = sum((f * n.centre for f, n in zip(factors, numbers, strict=True)), np.zeros((1, 1, 1), np.int64))
    return np.asarray(np.rint(middle * 2.0**shift).astype(np.int64) - taken)


def _narrow_sum(
    numbers: Sequence[Number], ratios: Sequence[Array], offset: Array, rounding: float, shift: int
) -> ScaledSum:
    factors = _factors(ratios, shift)
    bias = _bias(numbers, ratios, factors, offset, shift) + _added(shift, rounding)
    step = Step("sum", tuple(n.step for n in numbers), (0,), (*factors, bias))
    return ScaledSum(step, shift, _bound(numbers, factors, bias))


def _wide_sum(
    numbers: Sequence[Number], ratios: Sequence[Array], offset: Array, rounding: float, largest: float
) -> ScaledSum:
    """int64, with factors that still fit in int32; the constant is an int32 times a power of two."""
    top = max(float(np.abs(r).max()) for r in ratios)
    shift = max(0, min(_digits(2.0**WIDE_BITS / largest, 46), _digits(INT32 / max(top, 2.0**-46), 46)))
    real = offset * 2.0**shift + _added(shift, rounding)
    spare = max(0, math.ceil(math.log2(max(float(np.abs(real).max()), 1.0) / INT32)))
    bias = np.rint(real / 2.0**spare).astype(np.int64)
    factors = _factors(ratios, shift)
    step = Step("sum", tuple(n.step for n in numbers), (spare,), (*factors, bias), wide=True)
    return ScaledSum(step, shift, _bound(numbers, factors, bias << spare))


def _bound(numbers: Sequence[Number], factors: Sequence[Array], bias: Array) -> int:
    total = int(np.abs(bias).max(initial=0))
    return total + sum(int(np.abs(f).max()) * n.size for f, n in zip(factors, numbers, strict=True))
