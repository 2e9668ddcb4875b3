"""Pieces of a function on the float32 line: key ranges with a polynomial or a direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bnn2c.analysis.steps import Array

_KEYS = 1024


class NotAStepFunction(Exception):
    """The expression cannot be shown to take finitely many values."""


@dataclass(frozen=True)
class Piece:
    """On keys low … high: the polynomial with coefficients `poly` (ascending), or monotone in direction `slope`."""

    low: int
    high: int
    poly: tuple[float, ...] | None
    slope: int = 0

    @property
    def constant(self) -> bool:
        """True when the value does not change."""
        return self.poly is not None and len(self.poly) == 1

    @property
    def direction(self) -> int:
        """+1, -1 or 0 (constant) where monotone; 2 where unknown."""
        if self.poly is None:
            return self.slope
        if len(self.poly) > 2:
            return 2
        return 0 if len(self.poly) == 1 else int(np.sign(self.poly[1]))


def key_of(x: float) -> int:
    """Order-preserving integer of a float32."""
    bits = int(np.float32(x).view(np.int32))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF) - 1


def float_of(key: int) -> np.float32:
    """Inverse of `key_of`."""
    return np.float32(floats_of(np.array([key]))[0])


def floats_of(keys: Array) -> Array:
    """The float32 numbers of int64 keys."""
    return np.asarray(np.where(keys >= 0, keys, -(keys + 1) | 0x80000000).astype(np.uint32).view(np.float32))


LOWEST, HIGHEST = key_of(-3.4028234663852886e38), key_of(3.4028234663852886e38)


def _trim(poly: list[float]) -> tuple[float, ...]:
    """Without leading zeros; a slope that is no finite number (infinite or NaN constants) describes no polynomial."""
    while len(poly) > 1 and poly[-1] == 0:
        poly.pop()
    if len(poly) > 1 and not np.isfinite(poly).all():
        raise NotAStepFunction
    return tuple(poly)


def last_of(low: int, high: int, same: Callable[[Array], Array]) -> int:
    """The last key in low … high at which `same` holds; it holds at `low`, not at `high`, and changes once.

    Args:
        low: first key.
        high: last key.
        same: truth values of int64 keys; asked for 1024 and more at a time: asking costs more than a key.
    """
    while high - low > 1:
        keys = np.arange(low, high, max(1, (high - low) // _KEYS))[1:]
        holds = same(keys)
        count = len(keys) if holds.all() else int(holds.argmin())
        low, high = (int(keys[count - 1]) if count else low), (int(keys[count]) if count < len(keys) else high)
    return low


def algebra(fn: str, polys: list[tuple[float, ...]]) -> tuple[float, ...]:
    """Sum, difference, negation or product of polynomials of degree up to 3."""
    first, second = np.asarray(polys[0]), np.asarray(polys[-1])
    if fn == "neg":
        return _trim(list(-first))
    if fn == "mul":
        product = np.convolve(first, second)
        if len(product) > 4:
            raise NotAStepFunction
        return _trim(list(product))
    width = max(len(first), len(second))
    total = np.zeros(width)
    total[: len(first)] += first
    total[: len(second)] += second if fn == "add" else -second
    return _trim(list(total))


def refine(lists: list[list[Piece]]) -> list[tuple[int, int, list[Piece]]]:
    """Common refinement of several piece lists that cover the same keys."""
    found = []
    places = [0] * len(lists)
    low = LOWEST
    while low <= HIGHEST:
        parts = [pieces[p] for pieces, p in zip(lists, places, strict=True)]
        high = min(p.high for p in parts)
        found.append((low, high, parts))
        places = [p + (part.high == high) for p, part in zip(places, parts, strict=True)]
        low = high + 1
    return found


def merge(pieces: list[Piece]) -> list[Piece]:
    """Join neighbours with the same polynomial."""
    found: list[Piece] = []
    for piece in pieces:
        if found and piece.poly is not None and found[-1].poly == piece.poly:
            found[-1] = Piece(found[-1].low, piece.high, piece.poly)
        else:
            found.append(piece)
    return found
