"""Depthwise layers: 32 channels side by side in vertical counters; the kernel is runtime_c/bnn2c_depthwise_lanes.h."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bnn2c.kernels.c_struct import c_struct
from bnn2c.kernels.shape import Array, ConvShape, Cost, Layer, digits_of, lanes

HEADER = "bnn2c_depthwise_lanes.h"
STRUCT = "bnn2c_depthwise_lanes"
IN_LAYOUT = OUT_LAYOUT = "nhwc_bits"
RESULTS = ("bits", "i16", "i32")

# Instructions per tap and word of channels, and of these per digit; per word, per pixel; per raw sum. From the code of
# Cortex-M4; no other family runs such a layer except the general one, which takes 25 per tap and channel.
_PER_TAP, _PER_DIGIT, _PER_WORD, _PER_PIXEL, _PER_SUM = 18, 5, 60, 60, 13


def supports(shape: ConvShape, target_features: Sequence[str] = ()) -> str | None:
    """None, or the reason why this family cannot run the layer."""
    if not shape.groups == shape.in_c == shape.out_c:
        return "not one input channel for each output channel"
    return replace(shape, groups=1).limit_error()


def layer(shape: ConvShape, weight_bits: Array, thresholds: Array | None, words_per_lane: int = 1) -> Layer:
    """Constants and C text; weight_bits uint8 [out_c, kernel_h, kernel_w, 1], thresholds int32 [classes, out_c].

    A counter starts at `2^(digits - 1) - 1 - t`: its last digit is set when m > t.
    """
    row_class, col_class = shape.row_classes(), shape.col_classes()
    classes = (int(row_class.max()) + 1) * (int(col_class.max()) + 1)
    digits = digits_of(shape.taps) + int(thresholds is not None)
    starts = np.zeros((classes, shape.out_c), np.int64)
    if thresholds is not None:
        starts += (1 << (digits - 1)) - 1 - np.clip(thresholds.astype(np.int64), -1, shape.taps)
    bits = ((starts[:, None, :] >> np.arange(digits)[:, None]) & 1).astype(np.uint8)
    arrays: dict[str, Array] = {
        "weights": lanes(np.ascontiguousarray(weight_bits[..., 0].transpose(1, 2, 0))),
        "preset": np.ascontiguousarray(lanes(bits).transpose(0, 2, 1)),
        "row_class": row_class,
        "col_class": col_class,
    }
    geometry = shape.c_initializer("$row_class", "$col_class")
    template = c_struct(shape=geometry, digits=digits, weights="$weights", preset="$preset")
    return Layer(arrays, template, 0, "bnn2c_depthwise_lanes")


def cost(shape: ConvShape, thresholded: bool) -> Cost:
    """Predicted cost, the same for every target."""
    words, pixels = -(-shape.in_c // 32), shape.out_h * shape.out_w
    digits = digits_of(shape.taps) + int(thresholded)
    per_word = shape.taps * (_PER_TAP + _PER_DIGIT * digits) + _PER_WORD
    sums = 0 if thresholded else _PER_SUM * shape.out_c
    classes = (int(shape.row_classes().max()) + 1) * (int(shape.col_classes().max()) + 1)
    flash = 4 * words * (shape.taps + classes * digits) + shape.out_h + shape.out_w
    return Cost(pixels * (words * per_word + _PER_PIXEL + sums), flash, 0)
