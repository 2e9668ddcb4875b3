"""A 32-bit counter per output channel, population counts of vectors (AVX-512); runtime_c/bnn2c_popcount_lanes.h."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.kernels.padded_image import image_error, image_size, image_words, initializer, runs
from bnn2c.kernels.shape import Array, ConvShape, Cost, Layer, lanes

HEADER = "bnn2c_popcount_lanes.h"
STRUCT = "bnn2c_popcount_lanes"
IN_LAYOUT = OUT_LAYOUT = "nhwc_bits"
RESULTS = ("bits",)

UNIT, BLOCK, TOGETHER = 32, 64, 4

# Instructions per vector of channels and word, of four pixels and of one, per word and block, per run and block, per
# output vector, per block and per group of pixels, per word of the image; fitted to the layers of bench/networks.py
# (within 2 %).
_COSTS = (12.64, 3.22, 3.83, 19.09, 2.87, 36.3, 17.61, 2.57)


def supports(shape: ConvShape, target_features: Sequence[str] = ()) -> str | None:
    """None, or the reason why this family cannot (or should not) run the layer."""
    if "avx512" not in target_features:
        return "the target has no instruction that counts the bits of vectors of words"
    if shape.taps > 32766:
        return "more than 32766 weights per output channel"
    return image_error(shape, _pixel_bytes(shape)) or shape.limit_error()


def layer(shape: ConvShape, weight_bits: Array, thresholds: Array | None, words_per_lane: int = 1) -> Layer:
    """Constants and C text; weight_bits uint8 [out_c, kernel_h, kernel_w, in_c], thresholds int32 [classes, out_c]."""
    if thresholds is None:
        raise ValueError("popcount_lanes has no raw output")
    units, pixel = -(-shape.out_c // UNIT), _pixel_bytes(shape)
    table = np.full((len(thresholds), units * UNIT), 2**31 - 1, np.int32)  # spare channels are always 0
    table[:, : shape.out_c] = np.clip(thresholds, -1, shape.taps)
    offsets, length = runs(shape, pixel)
    arrays: dict[str, Array] = {
        "offsets": np.array(offsets, np.uint16),
        "weights": _interleave(lanes(weight_bits).reshape(shape.out_c, -1)),
        "thresholds": table,
        "row_class": shape.row_classes(),
        "col_class": shape.col_classes(),
    }
    numbers = f"{initializer(shape, pixel)}, {len(offsets)}u, {length // 4}u"
    template = f"{{{shape.c_initializer('$row_class', '$col_class')}, {numbers}, $offsets, $weights, $thresholds}}"
    return Layer(arrays, template, image_words(shape, pixel), "bnn2c_popcount_lanes")


def _pixel_bytes(shape: ConvShape) -> int:
    return 4 * -(-shape.in_c // 32)


def _interleave(rows: Array) -> Array:
    """Words [out_c, words] in the order of the header: [blocks][words][channels], the last block of 32 or 64."""
    padded = np.zeros((-(-len(rows) // UNIT) * UNIT, rows.shape[1]), np.uint32)
    padded[: len(rows)] = rows
    return np.concatenate([padded[at : at + BLOCK].T.reshape(-1) for at in range(0, len(padded), BLOCK)])


def work(shape: ConvShape) -> tuple[float, ...]:
    """What the coefficients of `_COSTS` are multiplied with."""
    units, pixel = -(-shape.out_c // UNIT), _pixel_bytes(shape)
    (offsets, length), (height, width) = runs(shape, pixel), image_size(shape)
    words, blocks, vectors = len(offsets) * length // 4, -(-units // 2), 2 * units
    fours, ones = shape.out_h * (shape.out_w // TOGETHER), shape.out_h * (shape.out_w % TOGETHER)
    return (
        fours * words * vectors,
        ones * words * vectors,
        (fours + ones) * words * blocks,
        (fours + ones) * len(offsets) * blocks,
        (4 * fours + ones) * vectors,
        (fours + ones) * blocks,
        fours + ones,
        height * width * pixel / 4,
    )


def cost(shape: ConvShape) -> Cost:
    """Predicted cost."""
    instructions = sum(a * b for a, b in zip(_COSTS, work(shape), strict=True))
    units, (offsets, length) = -(-shape.out_c // UNIT), runs(shape, _pixel_bytes(shape))
    classes = (int(shape.row_classes().max()) + 1) * (int(shape.col_classes().max()) + 1)
    flash = units * UNIT * (len(offsets) * length + 4 * classes) + 2 * len(offsets) + shape.out_h + shape.out_w
    return Cost(round(instructions), flash, 4 * image_words(shape, _pixel_bytes(shape)))
