"""Population count of patch XOR weight row, where the machine counts bits; runtime_c/bnn2c_popcount_rows.h."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.kernels.c_struct import c_struct
from bnn2c.kernels.shape import Array, ConvShape, Cost, Layer, lanes

HEADER = "bnn2c_popcount_rows.h"
STRUCT = "bnn2c_popcount_rows"
IN_LAYOUT = OUT_LAYOUT = "nhwc_bits"
RESULTS = ("bits", "i16", "i32")
ROWS = 8  # BNN2C_ROWS
COUNTING = {"neon", "zbb", "popcnt"}

# Instructions per row and word (with NEON of whole fours, and of the rest), per row, per patch word when channels fill
# words and when not, and per pixel (per tap with AVX-512); fitted to counts by bench/fit_costs.py.
_COSTS: dict[str, tuple[float, ...]] = {
    "zbb": (4.27, 0, 6.4, 17.5, 24, 217),
    "aarch64": (0.87, 0.28, 0.98, 6, 39.8, 143),
    "armv7": (0.99, 0.32, 2.26, 9.7, 49.7, 177),
    "x86": (4.19, 0, 9.3, 28.5, 42, 265),
    "avx512": (0.60, 2.35, 9.94, 34.41, 47.33),
}


def supports(shape: ConvShape, target_features: Sequence[str] = ()) -> str | None:
    """None, or the reason why this family cannot (or should not) run the layer."""
    if not COUNTING & set(target_features):
        return "the target has no instruction that counts bits"
    if shape.taps > 32766:
        return "more than 32766 weights per output channel"
    return shape.limit_error()


def layer(shape: ConvShape, weight_bits: Array, thresholds: Array | None, words_per_lane: int = 1) -> Layer:
    """Constants and C text; weight_bits uint8 [out_c, kernel_h, kernel_w, in_c], thresholds int32 [classes, out_c]."""
    blocks = -(-shape.out_c // ROWS)
    arrays: dict[str, Array] = {
        "weights": _interleave(lanes(weight_bits.reshape(shape.out_c, -1))),
        "row_class": shape.row_classes(),
        "col_class": shape.col_classes(),
    }
    name = "0"
    if thresholds is not None:
        table = np.full((len(thresholds), blocks * ROWS), 32767, np.int16)  # spare channels are always 0
        table[:, : shape.out_c] = np.clip(thresholds, -1, shape.taps)
        arrays["thresholds"], name = table, "$thresholds"
    geometry = shape.c_initializer("$row_class", "$col_class")
    template = c_struct(shape=geometry, weights="$weights", thresholds=name)
    return Layer(arrays, template, -(-shape.taps // 32), "bnn2c_popcount_rows")


def _interleave(rows: Array) -> Array:
    """Words [out_c, words] in the order of the header: [ceil(out_c / ROWS)][words][ROWS]."""
    padded = np.zeros((-(-len(rows) // ROWS) * ROWS, rows.shape[1]), np.uint32)
    padded[: len(rows)] = rows
    return padded.reshape(-1, ROWS, rows.shape[1]).transpose(0, 2, 1)


def work(shape: ConvShape, target: str) -> tuple[float, ...]:
    """What the coefficients of `_COSTS` are multiplied with."""
    channels, words = -(-shape.out_c // ROWS) * ROWS, -(-shape.taps // 32)
    together = words // 4 * 4 if target in ("aarch64", "armv7") else words
    pixels = shape.out_h * shape.out_w
    rows, gathered = pixels * channels, (pixels * words, 0) if shape.in_c % 32 == 0 else (0, pixels * words)
    if target == "avx512":
        return (rows * words, rows, *gathered, pixels * shape.kernel_h * shape.kernel_w)
    return (rows * together, rows * (words - together), rows, *gathered, pixels)


def cost(shape: ConvShape, target: str) -> Cost:
    """Predicted cost; `target` "zbb", "aarch64", "armv7", "x86" or "avx512"."""
    instructions = sum(a * b for a, b in zip(_COSTS[target], work(shape, target), strict=True))
    words = -(-shape.taps // 32)
    flash = shape.out_c * (4 * words + 2 * int(shape.row_classes().max() + 1) * int(shape.col_classes().max() + 1))
    return Cost(round(instructions), flash + shape.out_h + shape.out_w, 4 * words)
