"""Lanes are pixels, four output channels share their class sums; the kernel is runtime_c/bnn2c_class_sharing.h."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.kernels.class_lists import CLASSES, GROUP, ListPacker, class_sizes, group_order, patch_words
from bnn2c.kernels.shape import Array, ConvShape, Cost, Layer, digits_of, lanes

HEADER = "bnn2c_class_sharing.h"
STRUCT = "bnn2c_class_sharing"
IN_LAYOUT = OUT_LAYOUT = "planes"
RESULTS = ("bits",)

# Instructions per block, per class, per group and bound digit, per patch word, per word of pixels; from QEMU counts.
_COSTS = {
    "cortex-m": (55.2, 62, 57, 10.2, 1800),
    "cortex-m0": (87, 110, 100, 15, 3000),
    "rv32": (71, 90, 85, 9.5, 2200),
    "other": (71, 90, 85, 11, 2200),
}


def supports(shape: ConvShape, target_features: Sequence[str] = ()) -> str | None:
    """None, or the reason why this family cannot run the layer."""
    if _classes(shape)[1] > 6 or _classes(shape)[0] > 16:
        return "more than 6 border classes of columns or 16 of rows"
    if patch_words(shape.taps) > 255 * 64:
        return "more than 16000 weights per output channel"
    return shape.limit_error()


def lane_words(target_features: Sequence[str] = ()) -> int:
    """Words of a lane vector (BNN2C_LANE_WORDS), to be defined before the runtime headers are included."""
    if "avx2" in target_features:
        return 8
    return 4 if {"neon", "mve", "sse2"} & set(target_features) else 1


def to_planes(bits: Array) -> Array:
    """Bits uint8 [h, w, c] in layout planes: uint32 [c, ceil(h * w / 32)]."""
    height, width, channels = bits.shape
    return lanes(np.ascontiguousarray(bits.reshape(height * width, channels).T))


def _classes(shape: ConvShape) -> tuple[int, int]:
    """Numbers of row and column classes."""
    return int(shape.row_classes().max()) + 1, int(shape.col_classes().max()) + 1


def digits_of_bound(shape: ConvShape) -> int:
    """Two's complement digits of sum - bound."""
    return digits_of(shape.taps + 1) + 1


def layer(shape: ConvShape, weight_bits: Array, thresholds: Array | None, words_per_lane: int = 1) -> Layer:
    """Constants and C text of a layer.

    weight_bits uint8 [out_c, kernel_h, kernel_w, in_c]; thresholds int32 [classes, out_c] (output bit = m > t; -1:
    always, >= taps: never).  Scratch: unions of border lanes, carries of a class, patch, phases.
    """
    if thresholds is None:
        raise ValueError("class_sharing has no raw output")
    flat = weight_bits.reshape(shape.out_c, -1)
    rows = np.concatenate([flat, np.repeat(flat[-1:], -shape.out_c % GROUP, axis=0)])
    order = group_order(rows)
    groups = rows[order].reshape(-1, GROUP, shape.taps)
    packer = ListPacker(patch_words(shape.taps))
    lists = [packer.group(four) for four in groups]
    surplus = np.array([[group[i].surplus for i in range(CLASSES)] for group in lists], np.int64)
    sums = class_sizes(groups) + surplus
    arrays: dict[str, Array] = {
        "lists": np.frombuffer(b"".join(c.data for group in lists for c in group.values()), np.uint8),
        "order": np.where(order < shape.out_c, order, 65535).astype(np.uint16),
        "bounds": _bounds(shape, groups, surplus, thresholds[:, np.minimum(order, shape.out_c - 1)]),
        "row_class": shape.row_classes(),
        "col_class": shape.col_classes(),
    }
    pairs = int((sums[:, :4] + sums[:, 4:]).max())
    planes = max(8, digits_of(pairs), digits_of(int(sums[:, :4].max())) + 1)
    carries = max(c.blocks for group in lists for c in group.values()) + 3
    row_classes, col_classes = _classes(shape)
    numbers = f"{row_classes}u, {planes}u, {digits_of_bound(shape)}u, {carries}u"
    template = f"{{{shape.c_initializer('$row_class', '$col_class')}, {numbers}, $lists, $order, $bounds}}"
    vectors = (row_classes << col_classes) + carries + patch_words(shape.taps)
    return Layer(arrays, template, vectors * words_per_lane + _phase_words(shape))


def _phase_words(shape: ConvShape) -> int:
    """Words of the phases of a strided layer's input."""
    strides = shape.stride_h * shape.stride_w
    plane = -(-(-(-shape.in_h // shape.stride_h) * -(-shape.in_w // shape.stride_w)) // 32)
    return strides * shape.in_c * plane if strides > 1 else 0


def _bounds(shape: ConvShape, groups: Array, surplus: Array, thresholds: Array) -> Array:
    """uint8 [4 * groups, row_classes, digits]: bit c of digit b of the bound K for column class c.

    thresholds [classes, 4 * groups]; surplus [groups, 8]: ones that the list of each class adds.  m[0] = T - all
    surplus; m[j] = 2 A[j] - T + N[j], with the surplus of the classes of A[j] counted twice and of all classes once.
    """
    row_classes, col_classes = _classes(shape)
    differs = (np.arange(CLASSES)[:, None] >> np.arange(GROUP - 1)) & 1
    everything = surplus.sum(axis=1, keepdims=True)
    others = 2 * surplus @ (1 - differs) - everything - class_sizes(groups) @ differs
    offset = np.concatenate([everything, others], axis=1).reshape(-1)
    bound = np.clip(thresholds.astype(np.int64), -1, shape.taps) + 1 + offset
    digits = (bound.T.reshape(-1, row_classes, col_classes)[..., None] >> np.arange(digits_of_bound(shape))) & 1
    result: Array = (digits << np.arange(col_classes)[:, None]).sum(axis=2).astype(np.uint8)
    return result


def cost(shape: ConvShape, target: str) -> Cost:
    """Predicted cost for weights without structure; `target` is a key such as "cortex-m", "cortex-m0", "rv32"."""
    per_block, per_class, per_digit, per_input, per_word = _COSTS.get(target, _COSTS["other"])
    words, groups = -(-shape.out_h * shape.out_w // 32), -(-shape.out_c // GROUP)
    blocks = shape.taps / 8 + 2
    group = blocks * per_block + CLASSES * per_class + (digits_of_bound(shape) + 3) * per_digit
    instructions = words * (groups * group + shape.taps * per_input + per_word)
    row_classes, col_classes = _classes(shape)
    bounds = groups * GROUP * (2 + row_classes * digits_of_bound(shape))
    lists = groups * (9 * blocks + 3 * CLASSES)
    scratch = (row_classes << col_classes) + shape.taps // 32 + 20 + patch_words(shape.taps)
    flash = round(lists + bounds) + shape.out_h + shape.out_w
    return Cost(round(instructions), flash, 4 * (scratch + _phase_words(shape)))


def call(params: str, source: str, scratch: str, out: str, result: str) -> str:
    """C call; `result` is "bits", the other arguments are C expressions (params: a pointer)."""
    return f"bnn2c_class_sharing_{result}({params}, {source}, {scratch}, {out});"
