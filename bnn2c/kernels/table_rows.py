"""A byte per counter, a table's row per four activations, for AVX2; the kernel is runtime_c/bnn2c_table_rows.h."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.kernels.c_struct import c_struct
from bnn2c.kernels.padded_image import image_error, image_size, image_words, initializer, runs
from bnn2c.kernels.shape import Array, ConvShape, Cost, Layer

HEADER = "bnn2c_table_rows.h"
STRUCT = "bnn2c_table_rows"
IN_LAYOUT = OUT_LAYOUT = "nhwc_bits"
RESULTS = ("bits",)

UNIT, BLOCK, LARGEST_SET, MADE = 32, 8, 7, 6
NOTHING = 0x80

# Instructions per vector and input byte, per input byte whose table rows are made or read, per block and set, per
# vector and group of 7 blocks, per unit, per pixel, per byte of the image; fitted by bench/fit_costs.py.
_COSTS = (1.90, 2.13, -8.30, 9.33, 8.15, -22.63, -0.08)


def supports(shape: ConvShape, target_features: Sequence[str] = ()) -> str | None:
    """None, or the reason why this family cannot (or should not) run the layer."""
    if "avx2" not in target_features:
        return "the target has no vectors whose bytes are permuted by 32 others"
    if shape.taps > 32766:
        return "more than 32766 weights per output channel"
    return image_error(shape, _pixel_bytes(shape)) or shape.limit_error()


def set_sizes(units: int) -> list[int]:
    """As few sets as there can be, nearly equal; the same rule as in the C."""
    sets = -(-units // LARGEST_SET)
    return [units // sets + int(i < units % sets) for i in range(sets)]


def layer(shape: ConvShape, weight_bits: Array, thresholds: Array | None, words_per_lane: int = 1) -> Layer:
    """Constants and C text; weight_bits uint8 [out_c, kernel_h, kernel_w, in_c], thresholds int32 [classes, out_c]."""
    if thresholds is None:
        raise ValueError("table_rows has no raw output")
    units = -(-shape.out_c // UNIT)
    starts = np.zeros((len(thresholds), units * UNIT), np.uint16)  # spare channels are always 0
    starts[:, : shape.out_c] = 32767 - np.clip(thresholds, -1, shape.taps)
    offsets, nibbles = _blocks(shape, weight_bits)
    arrays: dict[str, Array] = {
        "offsets": np.array(offsets, np.uint16),
        "weights": _interleave(nibbles),
        "starts": _in_halves(starts.T).T,
        "row_class": shape.row_classes(),
        "col_class": shape.col_classes(),
    }
    image, geometry = initializer(shape, _pixel_bytes(shape)), shape.c_initializer("$row_class", "$col_class")
    template = c_struct(
        shape=geometry, image=image, blocks=len(offsets), offsets="$offsets", weights="$weights", starts="$starts"
    )
    return Layer(arrays, template, scratch_words(shape), "bnn2c_table_rows")


def _pixel_bytes(shape: ConvShape) -> int:
    return -(-shape.in_c // 8)


def block_count(shape: ConvShape) -> int:
    """Blocks of 8 bytes that are read for a window."""
    starts, length = runs(shape, _pixel_bytes(shape))
    blocks = len(starts) * -(-length // BLOCK)
    return blocks if -(-shape.out_c // UNIT) <= MADE else blocks + blocks % 2


def _blocks(shape: ConvShape, weight_bits: Array) -> tuple[list[int], Array]:
    """Offset of each block in the image, and weights as nibbles, uint8 [out_c, blocks * 8 bytes, 2]."""
    pixel = _pixel_bytes(shape)
    starts, length = runs(shape, pixel)
    padded = np.zeros((*weight_bits.shape[:3], pixel * 8), np.uint8)
    padded[..., : shape.in_c] = weight_bits
    flat = np.packbits(padded, axis=-1, bitorder="little").reshape(shape.out_c, len(starts), length)
    stored = np.full((shape.out_c, len(starts), -(-length // BLOCK) * BLOCK, 2), NOTHING, np.uint8)
    stored[:, :, :length] = np.stack([flat & 15, flat >> 4], axis=-1)
    used = np.arange(pixel * 2) * 4 < shape.in_c  # nibbles of a pixel that hold channels
    stored[:, :, :length][:, :, ~np.resize(used, (length, 2))] = NOTHING
    offsets = [start + at for start in starts for at in range(0, length, BLOCK)]
    spare = block_count(shape) - len(offsets)
    return offsets + [0] * spare, np.pad(
        stored.reshape(shape.out_c, -1, 2), ((0, 0), (0, spare * BLOCK), (0, 0)), constant_values=NOTHING
    )


def _interleave(nibbles: Array) -> Array:
    """[out_c, bytes, 2] in the order of the header: [sets][bytes][units][2 halves][2 nibbles][16 channels]."""
    units = -(-len(nibbles) // UNIT)
    padded = np.full((units * UNIT, *nibbles.shape[1:]), NOTHING, np.uint8)
    padded[: len(nibbles)] = nibbles
    padded = _in_halves(padded)
    parts, done = [], 0
    for size in set_sizes(units):
        chosen = padded[done * UNIT : (done + size) * UNIT].reshape(size, 2, 16, -1, 2)
        parts.append(chosen.transpose(3, 0, 1, 4, 2).reshape(-1))
        done += size
    return np.concatenate(parts)


def _in_halves(channels: Array) -> Array:
    """The first axis, whole units, in the order of storage: 8 channels of each half take turns."""
    rest = channels.shape[1:]
    return channels.reshape(-1, 2, 2, 8, *rest).swapaxes(1, 2).reshape(-1, *rest)


def scratch_words(shape: ConvShape) -> int:
    """Words of sums, of table rows when there are two sets or more, and of the image."""
    units = -(-shape.out_c // UNIT)
    rows = 0 if units <= MADE else 64 * block_count(shape)
    return 16 * units + rows + image_words(shape, _pixel_bytes(shape))


def work(shape: ConvShape) -> tuple[float, ...]:
    """What the coefficients of `_COSTS` are multiplied with."""
    units, blocks, pixels = -(-shape.out_c // UNIT), block_count(shape), shape.out_h * shape.out_w
    sets, (height, width) = len(set_sizes(units)), image_size(shape)
    rows = 3 if units <= MADE else 4 + sets
    return (
        pixels * blocks * BLOCK * 2 * units,
        pixels * blocks * BLOCK * rows,
        pixels * blocks * sets,
        pixels * -(-blocks // 7) * 2 * units,
        pixels * units,
        pixels,
        height * width * _pixel_bytes(shape),
    )


def cost(shape: ConvShape) -> Cost:
    """Predicted cost."""
    instructions = sum(a * b for a, b in zip(_COSTS, work(shape), strict=True))
    units, blocks = -(-shape.out_c // UNIT), block_count(shape)
    classes = (int(shape.row_classes().max()) + 1) * (int(shape.col_classes().max()) + 1)
    flash = units * UNIT * 2 * (BLOCK * blocks + classes) + 2 * blocks + shape.out_h + shape.out_w
    return Cost(round(instructions), flash, 4 * scratch_words(shape))
