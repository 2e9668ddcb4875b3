"""Values with a bound on what another float32 execution of the same network may get.

Only rounding that depends on the execution is counted: sums of inexact products (executors add in different orders),
inexact elementwise results (executors contract or fuse them) and library functions. What every execution computes
exactly, such as a dot product of +1/-1, has the bound 0, so that a tie there is never taken for rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Array",
    "Bounded",
    "HALF_UNIT",
    "LEAST",
    "NEXT",
    "UNIT",
    "ZERO",
    "exact_sum",
    "half_rounding",
    "inexact",
    "product_sum",
    "summation",
]

Array = npt.NDArray[Any]
UNIT = 2.0**-24
LEAST = 2.0**-150  # half of the smallest subnormal number: what a result next to 0 is rounded by
NEXT = 0.25  # of the error bound: closer to a tie than most numbers that only happen to lie within the bound
HALF_UNIT = 2.0**-11
_HALF_LEAST = 2.0**-25
ZERO: Array = np.zeros(1)
_EXACT = 2.0**24


@dataclass(frozen=True)
class Bounded:
    """An array and its error bound.

    Attributes:
        value: as the oracle computes it.
        error: float64, broadcasts to the value; how far another float32 execution may be away.
        unsure: elements that hold a decision within its bound which no reference value was seen for; None: no element.
    """

    value: Array
    error: Array
    unsure: Array | None = None


def inexact(rounded: Array, real: Array) -> Array:
    """One rounding of each element where the float32 result is not the real one, [same shape] float64."""
    with np.errstate(all="ignore"):
        return np.where(rounded.astype(np.float64) == real, 0.0, UNIT * np.abs(np.nan_to_num(real)) + LEAST)


def half_rounding(value: Array) -> Array:
    """What rounding to float16 may change, [same shape] float64; 0 where the number is one."""
    real = value.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        same = real.astype(np.float16) == real
        return np.where(same, 0.0, np.maximum(HALF_UNIT * np.abs(np.nan_to_num(real)), _HALF_LEAST))


def summation(terms: int) -> float:
    """Relative to the sum of magnitudes: error of a float32 sum of inexact products in any order.

    The worst case is `terms` units; roundings are independent in practice, so that 4 standard deviations of a random
    walk are used where they are smaller. Four more units stand for rounded weights and the addition of a bias.
    """
    return float(min(terms, 4 * np.sqrt(terms)) + 4) * UNIT


def product_sum(magnitude: Array, terms: int) -> Array:
    """The error of float32 sums of `terms` inexact products, of which `magnitude` is the sum of magnitudes."""
    return np.asarray(magnitude * summation(terms) + terms * LEAST)


def exact_sum(left: Array, right: Array, magnitude: float) -> bool:
    """Whether every sum of products of elements of the two arrays is exact in float32, in any order.

    All products are multiples of the product of the two smallest units in use; sums below 2**24 of it are exact, where
    it is a number of float32 at all.
    """
    unit = _quantum(left) * _quantum(right)
    return bool(unit >= 2 * LEAST and magnitude <= _EXACT * unit)


def _quantum(array: Array) -> float:
    """The largest power of two that all elements are multiples of (1 for zeros)."""
    values = np.unique(np.abs(np.asarray(array, np.float64)))
    values = values[(values > 0) & np.isfinite(values)]
    if not values.size:
        return 1.0
    mantissa, exponent = np.frexp(values)
    digits = np.asarray(mantissa * 2.0**53, np.int64)
    return float(np.ldexp((digits & -digits).astype(np.float64), exponent - 53).min())
