"""Compact forms of an index map: nested loops with constant steps, or a table (runtime_c/bnn2c_rearrange.h)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.ir.types import WORD_BITS, TensorType
from bnn2c.packing import pack_words

Array = npt.NDArray[Any]
Loop = tuple[int, int, int]
MAX_LOOPS = 6


@dataclass(frozen=True)
class Rearrangement:
    """How a kernel copies.

    Attributes:
        suffix: kernel variant: an element type, `words` (whole packed pixels) or `bits`.
        size: number of units of the variant in the output (elements or words).
        fill: pattern that is written first, or None when every element has a source and none is packed.
        start: first output and input position.
        loops: (count, output step, input step), outermost first; empty when nothing is copied or a table is used.
        table: input position of every `unit` elements, largest value for none; or None.
        unit: elements per entry of the table.
    """

    suffix: str
    size: int
    fill: Array | None
    start: tuple[int, int]
    loops: tuple[Loop, ...]
    table: Array | None
    unit: int = 1


def plan_rearrangement(index: Array, fill: float, kind: TensorType) -> Rearrangement:
    """The cheapest form of `out.flat[k] = in.flat[index.flat[k]]` for an input of type `kind`."""
    if kind.storage != "bits":
        pattern = np.asarray([fill]).astype(NUMPY_TYPES[kind.storage])
        return _plan(kind.storage, index.size, pattern, np.arange(index.size), index.ravel().astype(np.int64))
    pattern = fill_pixel(int(fill), index.shape[2], kind.planes)
    size = pattern.size * index.shape[0] * index.shape[1]
    pixels = moved_pixels(index, kind)
    if pixels is not None:
        words = pixels[:, None] * pattern.size + np.arange(pattern.size)
        return _plan("words", size, pattern, np.arange(size), np.where(pixels[:, None] < 0, -1, words).ravel())
    from_bits = bit_addresses(index.ravel(), kind)
    to_bits = bit_addresses(np.arange(index.size), TensorType((1, 1, index.shape[2]), "bits", kind.planes))
    return _plan("bits", size, pattern if (index < 0).any() else np.zeros(1, np.uint32), to_bits, from_bits)


def fill_pixel(code: int, channels: int, planes: int) -> Array:
    """A packed pixel whose channels all hold `code`."""
    bits = np.repeat((code >> np.arange(planes))[:, None] & 1, channels, axis=1)
    return pack_words(bits.astype(np.uint8)).ravel()


def moved_pixels(index: Array, kind: TensorType) -> Array | None:
    """Input pixel of every output pixel (-1: none) when pixels move as a whole, else None."""
    channels = kind.shape[2]
    if index.shape[2] != channels:
        return None
    rows = index.reshape(-1, channels).astype(np.int64)
    whole = (rows == rows[:, :1] + np.arange(channels)).all(axis=1) & (rows[:, 0] % channels == 0)
    none = (rows < 0).all(axis=1)
    return np.where(none, -1, rows[:, 0] // channels) if (whole | none).all() else None


def bit_addresses(elements: Array, kind: TensorType) -> Array:
    """Position of each element's plane 0, in bits from the start of the packed tensor; -1 stays."""
    pixel, channel = np.divmod(elements.astype(np.int64), kind.shape[2])
    return np.where(elements < 0, -1, pixel * (kind.planes * kind.words_per_pixel * WORD_BITS) + channel)


def _plan(suffix: str, size: int, pattern: Array, to: Array, source: Array) -> Rearrangement:
    valid = source >= 0
    fill = None if valid.all() and suffix != "bits" else pattern
    if not valid.any():
        return Rearrangement(suffix, size, fill, (0, 0), (), None)
    to_valid, from_valid = to[valid], source[valid]
    loops = find_loops(to_valid, from_valid)
    if loops is not None:
        start = (int(to_valid[0]), int(from_valid[0]))
        return Rearrangement(suffix, size, fill, start, _ordered(loops or [(1, 0, 0)], suffix), None)
    unit = 1 if suffix == "bits" else longest_unit(source)
    starts = source[::unit]
    dtype: type[np.unsignedinteger[Any]] = np.uint16 if starts.max() < 0xFFFF else np.uint32
    table = np.where(starts < 0, np.iinfo(dtype).max, starts).astype(dtype)
    return Rearrangement(suffix, size, fill, (0, 0), (), table, unit)


def _ordered(loops: list[Loop], suffix: str) -> tuple[Loop, ...]:
    """The order of the loops is free: the longest runs innermost, but bits keep neighbours of one word together."""
    if suffix == "bits":
        return tuple(loops)
    longest = max(range(len(loops)), key=lambda i: (loops[i][0], i))
    return (*loops[:longest], *loops[longest + 1 :], loops[longest])


def find_loops(to: Array, source: Array, depth: int = MAX_LOOPS) -> list[Loop] | None:
    """Factor a sequence of (output, input) positions into nested loops with constant steps, outermost first.

    A run of `count` pairs is an innermost loop when every break of the two steps lies between runs; the starts of the
    runs are factored in turn. The longest run is tried first. None when more than `depth` loops would be needed.
    """
    if len(to) == 1:
        return []
    if depth == 0:
        return None
    steps, jumps = np.diff(to), np.diff(source)
    breaks = np.flatnonzero((steps != steps[0]) | (jumps != jumps[0])) + 1
    longest = int(breaks[0]) if len(breaks) else len(to)
    for count in _divisors(len(to), longest):
        if not (breaks % count).any():
            outer = find_loops(to[::count], source[::count], depth - 1)
            if outer is not None:
                return [*outer, (count, int(steps[0]), int(jumps[0]))]
    return None


def longest_unit(source: Array) -> int:
    """The longest block length for which every block of `source` is one run of neighbours or has no source."""
    breaks = np.flatnonzero((np.diff(source) != 1) & ~((source[1:] < 0) & (source[:-1] < 0))) + 1
    # A step from "none" (-1) to input position 0 looks like a neighbour and is not one.
    breaks = np.union1d(breaks, np.flatnonzero((source[1:] >= 0) & (source[:-1] < 0)) + 1)
    return next((d for d in _divisors(len(source), len(source)) if not (breaks % d).any()), 1)


def _divisors(number: int, largest: int) -> list[int]:
    """Divisors of `number` from `largest` down to 2."""
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return sorted({d for s in small for d in (s, number // s) if 1 < d <= largest}, reverse=True)
