"""Lanes are output channels, one flash bit per weight; the kernel is runtime_c/bnn2c_sliced_channels.h."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.kernels.c_struct import c_struct
from bnn2c.kernels.shape import Array, ConvShape, Cost, Layer, digits_of, lanes

HEADER = "bnn2c_sliced_channels.h"
STRUCT = "bnn2c_sliced_channels"
IN_LAYOUT = OUT_LAYOUT = "nhwc_bits"
RESULTS = ("bits", "i16", "i32")
MAX_PLANES = 20

# Instructions per weight and block of lanes, per digit and block, per patch word, per pixel, and per tap of a
# patch that is gathered, by kind of core and words per lane; fitted to QEMU counts by bench/fit_costs.py.
_COSTS = {
    ("cortex-m", 1): (6.17, 12.4, 9.5, 41, 33),
    ("cortex-m0", 1): (10.8, 30, 37, 68, 51),
    ("rv32", 1): (8.44, 22.5, 29, 70, 25),
    ("rv32", 2): (14.3, 33, 205, 99, 25),
    ("cortex-m", 4): (9.48, 20, 67, 119, 36),
    ("x86", 8): (5.51, 78, 98, -137, 0),
    ("other", 1): (8.4, 29, 52, 30, 17),
}
_PER_SUM = 13  # to turn the digits of one output back into an integer


def supports(shape: ConvShape, target_features: Sequence[str] = ()) -> str | None:
    """None, or the reason why this family cannot run the layer."""
    if shape.taps >= 1 << (MAX_PLANES - 1):
        return "more than 2**19 weights per output channel"
    return shape.limit_error()


def planes_of(shape: ConvShape, thresholded: bool) -> int:
    """Digits of a counter: those of the largest sum, and one more to compare with a threshold."""
    return max(6, digits_of(shape.taps) + int(thresholded))


def pack(
    shape: ConvShape,
    weight_bits: Array,
    thresholds: Array | None,
    words_per_lane: int = 1,
    diagonal: bool = False,
) -> dict[str, Array]:
    """Constant arrays of a layer.

    weight_bits: uint8 [out_c, kernel_h, kernel_w, in_c]; thresholds: int32 [classes, out_c] (output bit = m > t; -1:
    always, >= taps: never) or None for raw counts; diagonal: the layout (BNN2C_DIAGONALS).  Returns weights uint32
    [blocks, words * 32], preset uint32 [classes, blocks, planes] (raw counts: [1, 1, planes]), row_class and
    col_class uint8.
    """
    row_class, col_class = shape.row_classes(), shape.col_classes()
    planes = planes_of(shape, thresholds is not None)
    starts = np.zeros((1, 1), np.int64)
    if thresholds is not None:
        starts = (1 << (planes - 1)) - 1 - np.clip(thresholds.astype(np.int64), -1, shape.taps)
    digits = (starts[:, :, None] >> np.arange(planes)) & 1
    encode = _diagonals if diagonal else _rows
    return {
        "weights": _widen(encode(weight_bits.reshape(shape.out_c, -1)), words_per_lane),
        "preset": _widen(lanes(np.moveaxis(digits, 1, 2).astype(np.uint8)).transpose(0, 2, 1), words_per_lane),
        "row_class": row_class,
        "col_class": col_class,
    }


def _rows(stream: Array) -> Array:
    """[out_c, taps] weight bits to [blocks, words * 32]: parity so far at even positions, parity of the pair at odd."""
    padded = np.pad(stream, [(0, 0), (0, -stream.shape[1] % 32)])
    encoded = np.bitwise_xor.accumulate(padded, axis=1)
    encoded[:, 1::2] = padded[:, 1::2] ^ padded[:, 0::2]
    return np.ascontiguousarray(lanes(np.ascontiguousarray(encoded.T)).T)


def _diagonals(stream: Array) -> Array:
    """[out_c, taps] weight bits to [blocks, words * 32], as runtime_c/bnn2c_sliced_counts.h says."""
    words = np.pad(stream, [(0, 0), (0, -stream.shape[1] % 32)]).reshape(len(stream), -1, 32)
    seen = (np.arange(32)[:, None] + np.arange(len(stream))) % 32  # [round, channel]: input
    rounds = np.take_along_axis(words, seen.T[:, None, :], axis=2)  # [channel, word, round]
    first, second, third = rounds[..., :10], rounds[..., 11:21], rounds[..., 22:]
    triples = np.stack([first ^ second, second ^ third, first ^ second ^ third], axis=-1)  # [..., triple, parity]
    twos = triples.reshape(*words.shape[:2], 5, 2, 3)
    six = np.concatenate([twos[..., 0, :2], twos[..., 1, :2], twos[..., 2]], axis=-1)
    pair = np.stack([rounds[..., 10], rounds[..., 10] ^ rounds[..., 21]], axis=-1)
    encoded = np.concatenate([six.reshape(*words.shape[:2], 30), pair], axis=-1).reshape(len(stream), -1)
    return np.ascontiguousarray(lanes(np.ascontiguousarray(encoded.T)).T)


def _widen(blocks: Array, words_per_lane: int) -> Array:
    """[..., blocks of 32, n] words to [..., blocks of lanes, n, words_per_lane], missing blocks 0."""
    missing = -blocks.shape[-2] % words_per_lane
    padded = np.concatenate([blocks, np.zeros((*blocks.shape[:-2], missing, blocks.shape[-1]), np.uint32)], axis=-2)
    wide = padded.reshape(*blocks.shape[:-2], -1, words_per_lane, blocks.shape[-1])
    return np.ascontiguousarray(np.moveaxis(wide, -2, -1))


def scratch_words(shape: ConvShape, words_per_lane: int = 1, diagonal: bool = False) -> int:
    """Words of scratch: one carry per patch word, the patch, and for vectors a word per input."""
    if diagonal and shape.pointwise:
        return -(-shape.taps // 32)  # the patch is read where it lies
    return -(-shape.taps // 32) * (words_per_lane + 1 + (32 if words_per_lane > 1 else 0))


def work(shape: ConvShape, thresholded: bool, words_per_lane: int) -> tuple[float, ...]:
    """What the coefficients of `_COSTS` are multiplied with."""
    blocks, words = -(-shape.out_c // (32 * words_per_lane)), -(-shape.taps // 32)
    pixels, planes = shape.out_h * shape.out_w, planes_of(shape, thresholded)
    gathered = 0 if shape.pointwise else pixels * shape.kernel_h * shape.kernel_w
    return (pixels * blocks * words * 32, pixels * blocks * planes, pixels * words, pixels, gathered)


def cost(shape: ConvShape, target: str, thresholded: bool = True, words_per_lane: int = 1) -> Cost:
    """Predicted cost of the layer; `target` is a key such as "cortex-m", "cortex-m0", "rv32"."""
    coefficients = _COSTS.get((target, words_per_lane), _COSTS["other", 1])
    counted = work(shape.flat, thresholded, words_per_lane)
    sums = 0 if thresholded else _PER_SUM * shape.out_c * shape.out_h * shape.out_w
    instructions = sum(a * b for a, b in zip(coefficients, counted, strict=True)) + sums
    classes = (int(shape.row_classes().max()) + 1) * (int(shape.col_classes().max()) + 1)
    blocks = -(-shape.out_c // (32 * words_per_lane))
    preset = planes_of(shape, thresholded) * (classes * blocks if thresholded else 1)
    flash = 4 * words_per_lane * (blocks * -(-shape.taps // 32) * 32 + preset) + shape.out_h + shape.out_w
    return Cost(round(instructions), flash, 4 * scratch_words(shape, words_per_lane))


def struct_initializer(shape: ConvShape, names: dict[str, str], thresholded: bool) -> str:
    """C initialiser of `bnn2c_sliced_channels`; `names` maps the keys of `pack` to C identifiers."""
    geometry = shape.c_initializer(names["row_class"], names["col_class"])
    planes = planes_of(shape, thresholded)
    return c_struct(shape=geometry, planes=planes, weights=names["weights"], preset=names["preset"])


def layer(
    shape: ConvShape,
    weight_bits: Array,
    thresholds: Array | None,
    words_per_lane: int = 1,
    diagonal: bool = False,
) -> Layer:
    """The layer as `pack` makes it."""
    shape = shape.flat
    arrays = pack(shape, weight_bits, thresholds, words_per_lane, diagonal)
    template = struct_initializer(shape, {key: f"${key}" for key in arrays}, thresholds is not None)
    function = "bnn2c_sliced_pointwise" if shape.pointwise else "bnn2c_sliced_channels"
    return Layer(arrays, template, scratch_words(shape, words_per_lane, diagonal), function)
