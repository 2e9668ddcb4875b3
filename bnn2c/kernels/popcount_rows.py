"""Population count of patch XOR weight row, where the machine counts bits; runtime_c/bnn2c_popcount_rows.h."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.kernels.shape import Array, ConvShape, Cost, Layer, lanes

HEADER = "bnn2c_popcount_rows.h"
STRUCT = "bnn2c_popcount_rows"
IN_LAYOUT = OUT_LAYOUT = "nhwc_bits"
RESULTS = ("bits", "i16", "i32")
COUNTING = {"neon", "zbb", "popcnt"}

# Instructions per row and word of full chunks, per row and word of the rest, per row, per patch word when channels fill
# words and when not, and per pixel; fitted to QEMU counts by bench/fit_costs.py.
_COSTS: dict[str, tuple[float, ...]] = {
    "zbb": (4.27, 0, 6.4, 17.5, 24, 217),
    "aarch64": (0.89, 1.35, 2.4, 6, 30, 160),
    "armv7": (1.23, 2.07, 5.5, 10, 27, 222),
    "x86": (4.19, 0, 9.3, 28.5, 42, 265),
}


def supports(shape: ConvShape, target_features: Sequence[str] = ()) -> str | None:
    """None, or the reason why this family cannot (or should not) run the layer."""
    if not COUNTING & set(target_features):
        return "the target has no instruction that counts bits"
    if shape.taps > 32766:
        return "more than 32766 weights per output channel"
    return shape.limit_error()


def geometry(words_per_lane: int) -> tuple[int, int, int]:
    """Rows counted together, words of a chunk and of a unit; words_per_lane is 4 with NEON (BNN2C_ROWS)."""
    return (8, 16, 4) if words_per_lane == 4 else (8, 1, 1)


def layer(shape: ConvShape, weight_bits: Array, thresholds: Array | None, words_per_lane: int = 1) -> Layer:
    """Constants and C text; weight_bits uint8 [out_c, kernel_h, kernel_w, in_c], thresholds int32 [classes, out_c]."""
    rows, chunk, unit = geometry(words_per_lane)
    blocks = -(-shape.out_c // rows)
    arrays: dict[str, Array] = {
        "weights": _interleave(lanes(weight_bits.reshape(shape.out_c, -1)), rows, chunk, unit),
        "row_class": shape.row_classes(),
        "col_class": shape.col_classes(),
    }
    name = "0"
    if thresholds is not None:
        table = np.full((len(thresholds), blocks * rows), 32767, np.int16)  # spare channels are always 0
        table[:, : shape.out_c] = np.clip(thresholds, -1, shape.taps)
        arrays["thresholds"], name = table, "$thresholds"
    words = (shape.taps + 32 * unit - 1) // (32 * unit) * unit
    template = f"{{{shape.c_initializer('$row_class', '$col_class')}, $weights, {name}}}"
    return Layer(arrays, template, words, "bnn2c_popcount_rows")


def _interleave(rows: Array, together: int, chunk: int, unit: int) -> Array:
    """Words [out_c, words] in the order of the header: per block full chunks [rows][chunk], then units [rows][unit]."""
    words = -(-rows.shape[1] // unit) * unit
    padded = np.zeros((-(-len(rows) // together) * together, words), np.uint32)
    padded[: len(rows), : rows.shape[1]] = rows
    full = words // chunk * chunk
    parts = []
    for block in padded.reshape(-1, together, words):
        parts.append(block[:, :full].reshape(together, -1, chunk).transpose(1, 0, 2).reshape(-1))
        parts.append(block[:, full:].reshape(together, -1, unit).transpose(1, 0, 2).reshape(-1))
    return np.concatenate(parts)


def work(shape: ConvShape, target: str) -> tuple[float, ...]:
    """What the coefficients of `_COSTS` are multiplied with."""
    together, chunk, unit = geometry(4 if target in ("aarch64", "armv7") else 1)
    channels, words = -(-shape.out_c // together) * together, -(-shape.taps // 32)
    stored = -(-words // unit) * unit
    full = stored // chunk * chunk
    pixels = shape.out_h * shape.out_w
    rows, gathered = pixels * channels, (pixels * words, 0) if shape.in_c % 32 == 0 else (0, pixels * words)
    return (rows * full, rows * (stored - full), rows, *gathered, pixels)


def cost(shape: ConvShape, target: str) -> Cost:
    """Predicted cost; `target` "zbb", "aarch64", "armv7" or "x86"."""
    instructions = sum(a * b for a, b in zip(_COSTS[target], work(shape, target), strict=True))
    words = -(-shape.taps // 32)
    flash = shape.out_c * (4 * words + 2 * int(shape.row_classes().max() + 1) * int(shape.col_classes().max() + 1))
    return Cost(round(instructions), flash + shape.out_h + shape.out_w, 4 * (words + 3))
