"""Formats of fixed-point numbers: element type and scale, `real = scale * q`."""

from __future__ import annotations

from dataclasses import dataclass

INTEGER_LIMITS = {"i32": (-(2**31) + 1, 2**31 - 1), "i16": (-32767, 32767), "i8": (-127, 127), "u8": (0, 255)}


class NotFixed(Exception):
    """An operation that has no fixed-point form; the message says why."""


@dataclass(frozen=True)
class Format:
    """How a real tensor is stored: `real = scale * q` with q of `storage` (i16, i8 or u8), saturated.

    `whole`: an integer tensor of the model, which has the whole range of its type.
    """

    storage: str
    scale: float
    whole: bool = False

    @property
    def low(self) -> int:
        """Smallest q; the range is symmetric for signed types, but for integers of the model."""
        return INTEGER_LIMITS[self.storage][0] - (self.whole and self.storage == "i8")

    @property
    def high(self) -> int:
        """Largest q."""
        return INTEGER_LIMITS[self.storage][1]

    @property
    def reach(self) -> int:
        """Largest magnitude, also of integers that were not made here: -128 in i8."""
        return self.high + (self.low < 0)


@dataclass(frozen=True)
class Number:
    """An integer step of a program.

    Attributes:
        step: its place.
        scale: `real = scale * v`.
        low: proved bound, as `high`.
        centre: the middle of what calibration saw, and `spread` the distance from it (None: as far as the bounds).
    """

    step: int
    scale: float
    low: int
    high: int
    centre: int = 0
    spread: int | None = None

    @property
    def size(self) -> int:
        """Largest magnitude."""
        return max(-self.low, self.high, 1)

    @property
    def usual(self) -> int:
        """Largest distance from the centre in calibration."""
        return self.size if self.spread is None else max(self.spread, 1)
