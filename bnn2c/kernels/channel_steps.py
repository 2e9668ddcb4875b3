"""Lanes are pixels, every output channel starts from the one before; the kernel is runtime_c/bnn2c_channel_steps.h."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2c.kernels import class_sharing
from bnn2c.kernels.channel_order import BLOCK, channel_order
from bnn2c.kernels.class_lists import NEAR_WORDS, RUN, WINDOW, patch_words
from bnn2c.kernels.shape import Array, ConvShape, Cost, Layer

HEADER = "bnn2c_channel_steps.h"
STRUCT = "bnn2c_channel_steps"
IN_LAYOUT = OUT_LAYOUT = "planes"
RESULTS = ("bits",)
GRANULE = 4  # words between two windows

# Instructions per vector of lanes: per input that a step adds, per channel, more of these when the patch has windows,
# once; and per pixel and channel of a strided input.  Fitted to QEMU counts by bench/fit_costs.py.
_COSTS: dict[str, tuple[float, ...]] = {
    "cortex-m": (8.84, 40, 2, 2106, 3.9),
    "cortex-m0": (13.6, 44, 14, 2530, 6.4),
    "rv32": (18.7, 64, 28, 3132, 4.5),
    "aarch64": (6.91, 24, 14, 2000, 4.1),
    "cortex-m55": (12.0, 10, 5, 4000, 4.1),
    "armv7": (7.93, 24, 15, 2500, 4.2),
    "x86": (9.89, 20, 15, 3000, 4.7),
    "other": (10.5, 45, 5, 2500, 4.7),
}

to_planes = class_sharing.to_planes


def supports(shape: ConvShape, target_features: Sequence[str] = ()) -> str | None:
    """None, or the reason why this family cannot run the layer."""
    if 2 * patch_words(shape.taps) > NEAR_WORDS:
        return "more weights per output channel than windows reach"
    if class_sharing.classes(shape) != (1, 1):
        return "border classes"
    return shape.limit_error()


def digits_of(shape: ConvShape) -> int:
    """Digits of the counter and of a bound: their difference has a sign, and one instance is made for 8."""
    return max(8, shape.taps.bit_length() + 1)


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
    bounds = _bounds(shape, path, np.array([len(inputs) for inputs in added]), thresholds[0])
    words = [_words(inputs, row, shape.taps) for inputs, row in zip(added, path.rows, strict=True)]
    blocks = [_blocks(one, shape.taps) for one in words]
    steps = [_step(blocks[0])]
    steps += [_step(one) + bound.to_bytes(2, "little") for one, bound in zip([[], *blocks[1:]], bounds, strict=True)]
    arrays: dict[str, Array] = {
        "steps": np.frombuffer(b"".join(steps), np.uint8),
        "order": (2 * path.channels * -(-shape.out_h * shape.out_w // 32) + path.inverted).astype(np.uint32),
        "row_class": shape.row_classes(),
        "col_class": shape.col_classes(),
    }
    carries = max(map(len, blocks)) + 4
    geometry = shape.c_initializer("$row_class", "$col_class")
    template = f"{{{geometry}, {digits_of(shape)}u, {carries}u, $steps, $order}}"
    vectors = carries + 2 * patch_words(shape.taps)
    return Layer(arrays, template, vectors * words_per_lane + class_sharing.phase_words(shape), "bnn2c_channel_steps")


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
        room = BLOCK // 2 if count <= BLOCK // 2 and not words else BLOCK
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


def _bounds(shape: ConvShape, path: Path, added: Array, thresholds: Array) -> list[int]:
    """The bound of each step; thresholds [out_c].

    The counter is m + (all inputs that were added after the first step); m > t, or n - m > t, is counter >= bound.
    """
    limits = np.clip(thresholds.astype(np.int64), -1, shape.taps)[path.channels]
    least = np.where(path.inverted, shape.taps - limits, limits + 1) + np.cumsum(added) - added[0]
    found: list[int] = (least % (1 << digits_of(shape))).tolist()
    return found


def work(shape: ConvShape, target: str) -> tuple[float, ...]:
    """What the coefficients of `_COSTS` are multiplied with."""
    vectors = -(-shape.out_h * shape.out_w // (32 * _lane_words(target)))
    far = 2 * patch_words(shape.taps) > WINDOW
    channels = vectors * shape.out_c
    phases = shape.in_h * shape.in_w * shape.in_c if shape.stride_h * shape.stride_w > 1 else 0
    added = channels * (expected_step(shape) + 2) + vectors * 3 * shape.taps  # to gather an input costs two additions
    return (added, channels, channels * far, vectors, phases)


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
    blocks = (expected_step(shape) + 2) / BLOCK
    flash = shape.out_c * (9 * blocks + 8) + 9 * shape.taps / BLOCK + shape.out_h + shape.out_w
    patch = 2 * patch_words(shape.taps) + shape.taps // BLOCK + 4
    arena = 4 * (patch * _lane_words(target) + class_sharing.phase_words(shape))
    return Cost(round(instructions), round(flash), arena)
