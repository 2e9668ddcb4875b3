"""Classify constant weights by value: two-valued, ternary, small integers times a scale per output channel, or real."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnn2c.analysis.steps import Array

TOLERANCE = 1e-6
MAX_INTEGER = 15


@dataclass(frozen=True)
class Integers:
    """`weights = scale[o] * integers`, exact up to a relative 1e-6.

    Attributes:
        integers: int8, shape of the weights.
        scale: float64 [O], positive.
    """

    integers: Array
    scale: Array


def as_integers(weights: Array) -> Integers | None:
    """Split [O, …] weights into small integers and one scale per output channel, None when they are real."""
    flat = np.abs(weights.astype(np.float64)).reshape(len(weights), -1)
    unit = np.where(flat > 0, flat, np.inf).min(axis=1)
    if not np.isfinite(unit).any():
        return None
    unit = np.where(np.isfinite(unit), unit, 1.0)
    for divisor in (1, 2, 3):
        found = _try(weights, unit / divisor)
        if found is not None:
            return found
    return None


def _try(weights: Array, scale: Array) -> Integers | None:
    shaped = scale.reshape(-1, *[1] * (weights.ndim - 1))
    ratio = weights.astype(np.float64) / shaped
    whole = np.rint(ratio)
    if np.abs(whole).max() > MAX_INTEGER or np.abs(ratio - whole).max() > TOLERANCE * max(1.0, np.abs(whole).max()):
        return None
    count = np.maximum(np.abs(whole.reshape(len(weights), -1)).sum(axis=1), 1)
    mean = np.abs(weights.astype(np.float64)).reshape(len(weights), -1).sum(axis=1) / count
    exact = (np.abs(ratio - whole) == 0).reshape(len(weights), -1).all(axis=1)
    return Integers(whole.astype(np.int8), np.where(exact | (mean == 0), scale, mean))


@dataclass(frozen=True)
class Planes:
    """`integers = sum_i coefficients[i] * (1 - 2 * bits[i]) / divisor`.

    Attributes:
        bits: uint8 [planes, O, …].
        coefficients: positive integers.
        divisor: 1 or 2.
    """

    bits: Array
    coefficients: tuple[int, ...]
    divisor: int


def as_planes(integers: Array) -> Planes:
    """Bit planes of small integers.

    Odd integers are sums of +-1, +-2, +-4, …; {-1, 0, 1} is half the sum of two signs; otherwise `2w = (2w + 1) - 1`
    with a constant plane.
    """
    whole = integers.astype(np.int64)
    if (whole % 2 != 0).all():
        bits, coefficients = _odd(whole)
        return Planes(bits, coefficients, 1)
    if np.abs(whole).max() <= 1:
        return Planes(np.stack([whole < 1, whole < 0]).astype(np.uint8), (1, 1), 2)
    bits, coefficients = _odd(2 * whole + 1)
    return Planes(np.concatenate([bits, np.ones((1, *whole.shape), np.uint8)]), (*coefficients, 1), 2)


def _odd(odd: Array) -> tuple[Array, tuple[int, ...]]:
    """Odd integers in -(2^k - 1) … 2^k - 1 as k signs with weights 1, 2, 4, …."""
    count = max(1, int(np.abs(odd).max()).bit_length())
    code = ((1 << count) - 1 - odd) // 2
    return np.stack([(code >> i) & 1 for i in range(count)]).astype(np.uint8), tuple(1 << i for i in range(count))
