"""Lanes are pixels, every output channel starts from the one before; the kernel is runtime_c/bnn2c_channel_steps.h."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2c.kernels import class_sharing
from bnn2c.kernels.c_struct import c_struct
from bnn2c.kernels.channel_order import HALF_BLOCK, channel_order
from bnn2c.kernels.class_lists import NEAR_WORDS, RUN, WINDOW, patch_words
from bnn2c.kernels.shape import Array, ConvShape, Cost, Layer

HEADER = "bnn2c_channel_steps.h"
STRUCT = "bnn2c_channel_steps"
IN_LAYOUT = OUT_LAYOUT = "planes"
RESULTS = ("bits",)
BLOCK = 2 * HALF_BLOCK  # inputs that are added together
GRANULE = 4  # words between two windows

# Instructions per input that a step adds, per operation on upper digits, per input and piece of a row that is gathered
# word by word, per vector of lanes, and per pixel and channel of a strided input.  Fitted to QEMU counts by
# bench/fit_costs.py.
_COSTS: dict[str, tuple[float, ...]] = {
    "cortex-m": (5.317, 1.716, 9.965, 615, 56),
    "cortex-m0": (8.393, 2.658, 13.18, 475.1, 79),
    "rv32": (12.34, 3.698, 6.744, 1180, 99),
    "cortex-m55": (7.737, 2.034, 11.11, 1515, 71),
    "aarch64": (4.623, 1.411, 10.82, 1694, 76),
    "armv7": (5.54, 1.389, 11.4, 1995, 92),
    "x86": (6.315, 1.862, 13.27, 2510, 50),
    "other": (7, 2, 11, 1500, 60),
}

to_planes = class_sharing.to_planes


def supports(shape: ConvShape, target_features: Sequence[str] = ()) -> str | None:
    """None, or the reason why this family cannot run the layer."""
    if 2 * patch_words(shape.taps) > NEAR_WORDS:
        return "more weights per output channel than windows reach"
    if class_sharing.classes(shape) != (1, 1):
        return "border classes"
    return shape.limit_error()


def kernel(taps: int, least: Array) -> tuple[str, int]:
    """The C kernel whose counters, 0..taps, and bounds `least` have a sign when subtracted; its digits."""
    near = 2 * patch_words(taps) <= WINDOW
    room = max(taps - int(least.min()) + 1, int(least.max()))
    digits = next(d for d in ((7, 8) if near else (8, 9, 10)) if room <= 1 << (d - 1))
    return f"{STRUCT}_{'near' if near else 'far'}{digits}", digits


@dataclass(frozen=True)
class Path:
    """The steps of a layer: channel, whether it is inverted, and the weights behind it, one row a step."""

    channels: Array
    inverted: Array
    rows: Array

    def added(self) -> list[Array]:
        """Inputs that each step adds: all, then those whose weight differs from the step before."""
        changed = self.rows[1:] != self.rows[:-1]
        return [np.arange(self.rows.shape[1]), *(np.flatnonzero(row) for row in changed)]


def path_of(rows: Array) -> Path:
    """Visit the rows (uint8 [channels, taps]), inverting those that are nearer so."""
    order = channel_order(rows)
    visited = rows[order]
    far = 2 * (visited[1:] != visited[:-1]).sum(axis=1) > rows.shape[1]
    inverted = np.concatenate([[False], np.logical_xor.accumulate(far)])
    return Path(order, inverted, visited ^ inverted[:, None].astype(np.uint8))


def layer(shape: ConvShape, weight_bits: Array, thresholds: Array | None, words_per_lane: int = 1) -> Layer:
    """Constants and C text of a layer; arguments as in class_sharing."""
    if thresholds is None:
        raise ValueError("channel_steps has no raw output")
    path = path_of(weight_bits.reshape(shape.out_c, -1))
    added = path.added()
    least = _least(shape, path, thresholds[0])
    function, digits = kernel(shape.taps, least)
    offsets = np.cumsum([0, *(len(inputs) for inputs in added[1:])])
    words = [_words(inputs, row, shape.taps) for inputs, row in zip(added, path.rows, strict=True)]
    blocks = [_blocks(one, shape.taps) for one in words]
    steps = [_step(blocks[0])]
    bounds = ((least + offsets) % (1 << digits)).astype("<u2")
    steps += [_step(one) + bound.tobytes() for one, bound in zip([[], *blocks[1:]], bounds, strict=True)]
    arrays: dict[str, Array] = {
        "steps": np.frombuffer(b"".join(steps), np.uint8),
        "order": (2 * path.channels * _plane_words(shape) + path.inverted).astype(np.uint32),
        "row_class": shape.row_classes(),
        "col_class": shape.col_classes(),
    }
    geometry = shape.c_initializer("$row_class", "$col_class")
    scratch = 2 * patch_words(shape.taps) * words_per_lane + class_sharing.phase_words(shape)
    return Layer(arrays, c_struct(shape=geometry, steps="$steps", order="$order"), scratch, function)


def pitched(shape: ConvShape, arrays: dict[str, Array], words: int) -> dict[str, Array]:
    """The arrays of a layer whose output planes lie `words` words apart."""
    places, inverted = arrays["order"] >> 1, arrays["order"] & 1
    return arrays | {"order": 2 * (places // _plane_words(shape)) * words + inverted}


def _plane_words(shape: ConvShape) -> int:
    return -(-shape.out_h * shape.out_w // 32)


def _step(blocks: list[list[int]]) -> bytes:
    """Number of blocks, the blocks, whether half a block follows, and that."""
    half = int(bool(blocks) and len(blocks[-1]) < BLOCK)
    whole = len(blocks) - half
    return bytes([whole, *sum(blocks[:whole], []), half, *sum(blocks[whole:], [])])


def _words(inputs: Array, row: Array, taps: int) -> list[int]:
    """Words of the patch that a step adds: an input, or its complement where the weight is 1; ascending."""
    words = inputs + inputs // RUN + 1 + patch_words(taps) * row[inputs].astype(np.int64)
    return sorted(words.tolist())


def _blocks(words: list[int], taps: int) -> list[list[int]]:
    """Blocks of a window number and 8 offsets, the last one of 4 if that suffices, filled up with zero words."""
    size = patch_words(taps)
    zeros = [start + at for start in (0, size) for at in (*range(0, size - 1, RUN + 1), size - 1)]
    blocks = []
    while words:
        count = next(n for n in range(min(BLOCK, len(words)), 0, -1) if _fits(words[:n], zeros))
        taken, words = words[:count], words[count:]
        room = HALF_BLOCK if count <= HALF_BLOCK and not words else BLOCK
        taken += [_zero(taken, zeros)] * (room - count)
        window = min(taken) // GRANULE
        near = 2 * size <= WINDOW
        blocks.append(taken if near else [window, *(word - GRANULE * window for word in taken)])
    return blocks


def _zero(words: list[int], zeros: list[int]) -> int:
    """The zero word that widens a block least."""
    return min(zeros, key=lambda zero: max(*words, zero) - min(*words, zero))


def _fits(words: list[int], zeros: list[int]) -> bool:
    """Whether one window reaches all words, and a zero word if there is room for it."""
    reached = [*words, _zero(words, zeros)] if len(words) < BLOCK else words
    return max(reached) < min(reached) // GRANULE * GRANULE + WINDOW


def _least(shape: ConvShape, path: Path, thresholds: Array) -> Array:
    """The least count of mismatches, or of matches in inverted channels, that makes the output 1; thresholds [out_c].

    m > t, or n - m > t.  The counter is that count and all inputs that were added after the first step.
    """
    limits = np.clip(thresholds.astype(np.int64), -1, shape.taps)[path.channels]
    least: Array = np.where(path.inverted, shape.taps - limits, limits + 1)
    return least


def work(shape: ConvShape, target: str) -> tuple[float, ...]:
    """What the coefficients of `_COSTS` are multiplied with."""
    lane = _lane_words(target)
    vectors = -(-shape.out_h * shape.out_w // (32 * lane))
    far = 2 * patch_words(shape.taps) > WINDOW
    digits = max(7, (shape.taps - 1).bit_length() + 1)
    channels = vectors * shape.out_c
    added = channels * (expected_step(shape) + 1)
    gathered = 3 * vectors * shape.taps  # takes three additions, with the complement
    upper = channels * (added_blocks(shape) * 2 * (digits - 4) + 5 * digits) + far * added / 2
    phases = class_sharing.phase_pieces(shape, lane)
    return (added + gathered, upper, class_sharing.row_pieces(shape, lane), vectors, phases)


def added_blocks(shape: ConvShape) -> float:
    """Blocks of a step."""
    return (expected_step(shape) + 1) / BLOCK


def expected_step(shape: ConvShape) -> float:
    """Weights that differ between neighbours of a path through random rows: fitted to paths of 32 to 256 rows."""
    near = 0.55 + 0.145 * math.log(shape.out_c)
    return max(0.0, shape.taps / 2 - near * math.sqrt(shape.taps))


def _lane_words(target: str) -> int:
    """Words of a vector, by key of the cost table."""
    return {"rv32": 2, "aarch64": 4, "cortex-m55": 4, "armv7": 4, "x86": 8}.get(target, 1)


def cost(shape: ConvShape, target: str) -> Cost:
    """Predicted cost for weights without structure; `target` is a key of `_COSTS`, "other" for the rest."""
    coefficients = _COSTS.get(target, _COSTS["other"])
    instructions = sum(a * b for a, b in zip(coefficients, work(shape, target), strict=True))
    flash = shape.out_c * (9 * added_blocks(shape) + 9) + 9 * shape.taps / BLOCK + shape.out_h + shape.out_w
    arena = 4 * (2 * patch_words(shape.taps) * _lane_words(target) + class_sharing.phase_words(shape))
    return Cost(round(instructions), round(flash), arena)
