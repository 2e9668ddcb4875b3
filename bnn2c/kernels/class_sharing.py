"""Lanes are pixels, four output channels share their class sums; the kernel is runtime_c/bnn2c_class_sharing.h."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.kernels.c_struct import c_struct
from bnn2c.kernels.class_lists import CLASSES, GROUP, ListPacker, class_sizes, group_order, patch_words
from bnn2c.kernels.shape import Array, ConvShape, Cost, Layer, digits_of, lanes

HEADER = "bnn2c_class_sharing.h"
STRUCT = "bnn2c_class_sharing"
IN_LAYOUT = OUT_LAYOUT = "planes"
RESULTS = ("bits",)

# Words per lane, and instructions: per vector and group, the same and per 8 inputs, per vector and input when rows of
# input and output are equal, per row piece when they are not (`row_pieces`), per vector, per piece of a strided input
# (`phase_pieces`), and per vector and group whose sums have more than 8 digits.  Fitted to QEMU counts: layer C, 20x20,
# 14x14, 12x12 and 30x30 maps with and without padding, 48->96, 1x1, 5x5, stride 2; only the first have a test.
_COSTS = {
    "cortex-m": (1, 1315, 75, 0, 0, 5341, 56, 0),
    "cortex-m0": (1, 2471, 115, 0, 0, 7798, 79, 0),
    "rv32": (2, 3135, 147, 0, 11.9, 196, 99, 0),
    "aarch64": (4, 1807, 52.6, 26.9, 8.48, 0, 76, 1257),
    "cortex-m55": (4, 3021, 85.1, 16.8, 6.44, 0, 71, 671),
    "armv7": (4, 2626, 55.5, 49.5, 10.6, 0, 92, 112),
    "x86": (8, 2504, 101, 0, 5.5, 0, 50, 0),
    "other": (1, 1700, 98, 0, 0, 7000, 60, 0),
}
LONG = 900  # weights per output from which the sum of two classes has more than 8 digits


def supports(shape: ConvShape, target_features: Sequence[str] = ()) -> str | None:
    """None, or the reason why this family cannot run the layer."""
    if classes(shape)[1] > 6 or classes(shape)[0] > 16:
        return "more than 6 border classes of columns or 16 of rows"
    if patch_words(shape.taps) > 255 * 64:
        return "more than 16000 weights per output channel"
    return shape.limit_error()


def to_planes(bits: Array) -> Array:
    """Bits uint8 [h, w, c] in layout planes: uint32 [c, ceil(h * w / 32)]."""
    height, width, channels = bits.shape
    return lanes(np.ascontiguousarray(bits.reshape(height * width, channels).T))


def classes(shape: ConvShape) -> tuple[int, int]:
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
    row_classes, col_classes = classes(shape)
    geometry = shape.c_initializer("$row_class", "$col_class")
    template = c_struct(
        shape=geometry, row_classes=row_classes, planes=planes, digits=digits_of_bound(shape), carries=carries,
        lists="$lists", order="$order", bounds="$bounds",
    )  # fmt: skip
    vectors = (row_classes << col_classes) + carries + patch_words(shape.taps)
    return Layer(arrays, template, vectors * words_per_lane + phase_words(shape), "bnn2c_class_sharing")


def phase_words(shape: ConvShape) -> int:
    """Words of the phases of a strided layer's input."""
    strides = shape.stride_h * shape.stride_w
    plane = -(-(-(-shape.in_h // shape.stride_h) * -(-shape.in_w // shape.stride_w)) // 32)
    return strides * shape.in_c * plane if strides > 1 else 0


def _bounds(shape: ConvShape, groups: Array, surplus: Array, thresholds: Array) -> Array:
    """uint8 [4 * groups, row_classes, digits]: bit c of digit b of the bound K for column class c.

    thresholds [classes, 4 * groups]; surplus [groups, 8]: ones that the list of each class adds.  m[0] = T - all
    surplus; m[j] = 2 A[j] - T + N[j], with the surplus of the classes of A[j] counted twice and of all classes once.
    """
    differs = (np.arange(CLASSES)[:, None] >> np.arange(GROUP - 1)) & 1
    everything = surplus.sum(axis=1, keepdims=True)
    others = 2 * surplus @ (1 - differs) - everything - class_sizes(groups) @ differs
    offset = np.concatenate([everything, others], axis=1).reshape(-1)
    bound = np.clip(thresholds.astype(np.int64), -1, shape.taps) + 1 + offset
    return class_digits(shape, bound, digits_of_bound(shape))


def class_digits(shape: ConvShape, constants: Array, count: int) -> Array:
    """Constants [classes, n] as bnn2c_border_lanes.h reads them, uint8 [n, row_classes, count digits]."""
    row_classes, col_classes = classes(shape)
    digits = (constants.T.reshape(-1, row_classes, col_classes)[..., None] >> np.arange(count)) & 1
    result: Array = (digits << np.arange(col_classes)[:, None]).sum(axis=2).astype(np.uint8)
    return result


def row_pieces(shape: ConvShape, lane: int) -> int:
    """Words of a patch that are gathered one by one, once for each piece of a row; `lane`: words of a vector."""
    equal_rows = -(-shape.in_w // shape.stride_w) == shape.out_w
    if equal_rows and lane >= 4:
        return 0
    words = -(-shape.out_h * shape.out_w // (32 * lane)) * lane
    return words * shape.taps * (1 if equal_rows else 1 - (-32 // shape.out_w))


def phase_pieces(shape: ConvShape, lane: int) -> int:
    """Pieces of up to 32 pixels, of `lane` channels, that a strided layer splits; four bits each when not by 2."""
    if shape.stride_h * shape.stride_w == 1:
        return 0
    if shape.stride_w != 2:
        return shape.in_h * shape.in_w * shape.in_c // 4
    return shape.in_h * -(-shape.in_w // 32) * -(-shape.in_c // lane)


def cost(shape: ConvShape, target: str) -> Cost:
    """Predicted cost for weights without structure; `target` is a key of the table above, "other" for the rest."""
    lane, per_group, per_block, per_wide, per_piece, once, per_phase, per_long = _COSTS.get(target, _COSTS["other"])
    vectors, groups = -(-shape.out_h * shape.out_w // (32 * lane)), -(-shape.out_c // GROUP)
    pieces = row_pieces(shape, int(lane))
    group = per_group + per_block * shape.taps / 8 + per_long * (shape.taps > LONG)
    vector = groups * group + once + (0 if pieces else shape.taps * per_wide)
    instructions = vectors * vector + pieces * per_piece + phase_pieces(shape, int(lane)) * per_phase
    row_classes, col_classes = classes(shape)
    flash = groups * (9 * (shape.taps / 8 + 1.8) + 24 + GROUP * (2 + row_classes * digits_of_bound(shape)))
    scratch = (row_classes << col_classes) + shape.taps // 40 + 20 + patch_words(shape.taps)
    arena = 4 * (scratch * int(lane) + phase_words(shape))
    flash_bytes = round(flash) + shape.out_h + shape.out_w
    return Cost(round(instructions), flash_bytes, arena)
