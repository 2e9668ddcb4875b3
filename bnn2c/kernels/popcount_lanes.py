"""A 32-bit counter per output channel, population counts of vectors (AVX-512); runtime_c/bnn2c_popcount_lanes.h."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.kernels.c_struct import c_struct
from bnn2c.kernels.padded_image import image_error, image_size, image_words, initializer, runs
from bnn2c.kernels.shape import Array, ConvShape, Cost, Layer, lanes

HEADER = "bnn2c_popcount_lanes.h"
STRUCT = "bnn2c_popcount_lanes"
IN_LAYOUT = OUT_LAYOUT = "nhwc_bits"
RESULTS = ("bits",)

UNIT, LANES = 32, 16  # channels of an output word, of a vector
TOGETHER = {2: 8, 4: 4, 6: 2, 8: 2, 10: 1, 12: 1, 14: 1, 16: 1}  # vectors of a block, and pixels

# Instructions per one that counts, compares or broadcasts, per run and group of pixels, per group of pixels and block,
# per word of the image that is copied; fitted by bench/fit_costs.py to layers that are not in bench/networks.py.
_COSTS = (1.04, 32.64, -23.36, 3.88)


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
    units, pixel, vectors = -(-shape.out_c // UNIT), _pixel_bytes(shape), block_vectors(shape)
    table = np.full((len(thresholds), units * UNIT), 2**31 - 1, np.int32)  # spare channels are always 0
    table[:, : shape.out_c] = np.clip(thresholds, -1, shape.taps)
    offsets, length = runs(shape, pixel)
    arrays: dict[str, Array] = {
        "offsets": np.array(offsets, np.uint16),
        "weights": _interleave(lanes(weight_bits).reshape(shape.out_c, -1), vectors * LANES),
        "thresholds": table,
        "row_class": shape.row_classes(),
        "col_class": shape.col_classes(),
    }
    geometry = shape.c_initializer("$row_class", "$col_class")
    template = c_struct(
        shape=geometry, image=initializer(shape, pixel), runs=len(offsets), run_words=length // 4,
        offsets="$offsets", weights="$weights", thresholds="$thresholds",
    )  # fmt: skip
    return Layer(arrays, template, image_words(shape, pixel), f"{STRUCT}{vectors}")


def _pixel_bytes(shape: ConvShape) -> int:
    return 4 * -(-shape.in_c // 32)


def block_vectors(shape: ConvShape) -> int:
    """Vectors of 16 channels that are counted together: as many as divide all of them evenly."""
    vectors = -(-shape.out_c // UNIT) * UNIT // LANES
    return max(n for n in TOGETHER if vectors % n == 0)


def _interleave(rows: Array, block: int) -> Array:
    """Words [out_c, words] in the order of the header: [blocks][words][channels of a block]."""
    padded = np.zeros((-(-len(rows) // block) * block, rows.shape[1]), np.uint32)
    padded[: len(rows)] = rows
    return padded.reshape(-1, block, rows.shape[1]).transpose(0, 2, 1)


def work(shape: ConvShape) -> tuple[float, ...]:
    """What the coefficients of `_COSTS` are multiplied with."""
    pixel, vectors = _pixel_bytes(shape), block_vectors(shape)
    offsets, length = runs(shape, pixel)
    words, blocks = len(offsets) * length // 4, -(-shape.out_c // UNIT) * UNIT // LANES // vectors
    together, alone = divmod(shape.out_w, TOGETHER[vectors])
    groups = shape.out_h * (together + alone) * blocks
    counted = 3 * vectors * words + vectors + words  # XOR, count, add; compare and store; broadcast
    return (shape.out_h * shape.out_w * blocks * counted, groups * len(offsets), groups, _copied_words(shape))


def _copied_words(shape: ConvShape) -> float:
    """Words of the image, if the input itself is none."""
    (height, width), pixel = image_size(shape), _pixel_bytes(shape)
    whole = width == shape.in_w and height <= shape.in_h and shape.in_c % 32 == 0
    return 0 if whole and not (shape.pad_top or shape.pad_left) else height * width * pixel / 4


def cost(shape: ConvShape) -> Cost:
    """Predicted cost."""
    instructions = sum(a * b for a, b in zip(_COSTS, work(shape), strict=True))
    units, (offsets, length) = -(-shape.out_c // UNIT), runs(shape, _pixel_bytes(shape))
    classes = (int(shape.row_classes().max()) + 1) * (int(shape.col_classes().max()) + 1)
    flash = units * UNIT * (len(offsets) * length + 4 * classes) + 2 * len(offsets) + shape.out_h + shape.out_w
    return Cost(round(instructions), flash, 4 * image_words(shape, _pixel_bytes(shape)))
