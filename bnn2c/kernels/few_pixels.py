"""Class sharing for whole words of pixels, bit-sliced channels for those of the last; runtime_c/bnn2c_few_pixels.h."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.ir.types import WORD_BITS
from bnn2c.kernels import class_sharing, sliced_channels
from bnn2c.kernels.c_struct import c_struct
from bnn2c.kernels.class_lists import RUN, patch_words
from bnn2c.kernels.shape import Array, ConvShape, Cost, Layer

HEADER = "bnn2c_few_pixels.h"
STRUCT = "bnn2c_few_pixels"
IN_LAYOUT = OUT_LAYOUT = "planes"
RESULTS = ("bits",)
MOST = 16  # pixels of a last word, above which class sharing is as good

# Instructions besides the two kernels: to gather an input, per 32 inputs of eight pixels, per channel of them.
_GATHER, _STREAM, _CHANNEL = 9, 310, 12

to_planes = class_sharing.to_planes


def supports(shape: ConvShape, target_features: Sequence[str] = ()) -> str | None:
    """None, or the reason why this family cannot run the layer."""
    words, left = divmod(shape.out_h * shape.out_w, WORD_BITS)
    if words == 0 or not 0 < left <= MOST:
        return f"pixels fill words, or more than {MOST} lanes of the last, or not one word"
    return class_sharing.supports(shape, target_features)


def layer(
    shape: ConvShape,
    weight_bits: Array,
    thresholds: Array | None,
    words_per_lane: int = 1,
    diagonal: bool = False,
) -> Layer:
    """Constants and C text of a layer; arguments as in class_sharing, and the layout of sliced_channels."""
    if words_per_lane != 1:
        raise ValueError("few_pixels is for vectors of one word")
    many = class_sharing.layer(shape, weight_bits, thresholds)
    stream, places = _stream(shape), np.arange(shape.taps)
    weights = np.zeros((shape.out_c, 1, 1, stream.in_c), np.uint8)
    weights[:, 0, 0, places + places // RUN + 1] = weight_bits.reshape(shape.out_c, -1)
    packed = sliced_channels.pack(stream, weights, thresholds, diagonal=diagonal)
    few = sliced_channels.struct_initializer(stream, {**dict.fromkeys(packed, "NULL"), **_NAMES}, True)
    arrays = many.arrays | {key: packed[name] for name, key in (("weights", "few"), ("preset", "preset"))}
    template = c_struct(many=many.template, few=few, behind=many.scratch_words)
    return Layer(arrays, template, many.scratch_words + _scratch_words(shape), "bnn2c_few_pixels")


_NAMES = {"weights": "$few", "preset": "$preset"}


def _stream(shape: ConvShape) -> ConvShape:
    """The patch of one pixel, zero words included, as a dense layer."""
    return ConvShape.dense(patch_words(shape.taps), shape.out_c)


def _scratch_words(shape: ConvShape) -> int:
    """Streams and results of eight pixels, and what bit-sliced channels take."""
    words, blocks = -(-patch_words(shape.taps) // WORD_BITS), -(-shape.out_c // WORD_BITS)
    return 8 * (words + blocks) + 2 * words


def cost(shape: ConvShape, target: str, key: str) -> Cost:
    """Predicted cost; `target` is a key of class sharing's table, `key` one of sliced_channels'."""
    words, left = divmod(shape.out_h * shape.out_w, WORD_BITS)
    many = class_sharing.cost(shape, target)
    few = sliced_channels.cost(_stream(shape), key)
    eights, length = -(-left // 8), -(-patch_words(shape.taps) // WORD_BITS)
    turned = eights * (length * _STREAM + shape.out_c * _CHANNEL)
    instructions = many.instructions * words / (words + 1) + _GATHER * shape.taps + turned + left * few.instructions
    arena = many.arena_bytes + 4 * _scratch_words(shape)
    return Cost(round(instructions), many.flash_bytes + few.flash_bytes, arena)
