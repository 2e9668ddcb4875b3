"""Class sharing with groups of channels side by side in a vector; the kernel is runtime_c/bnn2c_class_groups.h."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from bnn2c.kernels import class_sharing
from bnn2c.kernels.c_struct import c_struct
from bnn2c.kernels.class_lists import CLASSES, GROUP, RUN, SEQUENCE, WINDOW, group_order, patch_words
from bnn2c.kernels.class_sharing import (
    LONG,
    class_digits,
    classes,
    digits_of_bound,
    phase_pieces,
    phase_words,
    row_pieces,
    to_planes,
)
from bnn2c.kernels.shape import Array, ConvShape, Cost, Layer, digits_of

__all__ = ["HEADER", "IN_LAYOUT", "OUT_LAYOUT", "RESULTS", "STRUCT", "cost", "layer", "supports", "to_planes"]
HEADER = "bnn2c_class_groups.h"
STRUCT = "bnn2c_class_groups"
IN_LAYOUT = OUT_LAYOUT = "planes"
RESULTS = ("bits",)
STEP = 64  # words between two windows, BNN2C_GROUPS_WINDOW
SPREAD = 16  # inputs in front of their complements, BNN2C_GROUPS_RUN
PLACES = 8  # inputs of a block, for each group

# Channel orders of a group, the first of them being the reference; and the class of each 4-bit column of weights.
_ORDERS = np.array(list(permutations(range(GROUP))))
_COLUMN = (np.arange(16)[:, None] >> np.arange(GROUP)) & 1
_CLASS_OF = ((_COLUMN[:, _ORDERS[:, 1:]] ^ _COLUMN[:, _ORDERS[:, :1]]) << np.arange(GROUP - 1)).sum(axis=2).T


def supports(shape: ConvShape, target_features: Sequence[str] = ()) -> str | None:
    """None, or the reason why this family cannot (or should not) run the layer."""
    if "mve" not in target_features:
        return "the target cannot gather words into a vector"
    if 2 * _patch_vectors(shape) > 256 * STEP:
        return "more than 8000 weights per output channel"
    return class_sharing.supports(shape, target_features)


def _patch_vectors(shape: ConvShape) -> int:
    """Words of a patch, rounded up to whole runs."""
    return -(-patch_words(shape.taps) // SPREAD) * SPREAD


def layer(shape: ConvShape, weight_bits: Array, thresholds: Array | None, words_per_lane: int = 4) -> Layer:
    """Constants and C text of a layer.

    weight_bits uint8 [out_c, kernel_h, kernel_w, in_c]; thresholds int32 [classes, out_c] (output bit = m > t; -1:
    always, >= taps: never).  Scratch: unions of border lanes, carries of a class, the patch twice, phases.
    """
    if thresholds is None:
        raise ValueError("class_groups has no raw output")
    flat = weight_bits.reshape(shape.out_c, -1)
    rows = np.concatenate([flat, np.repeat(flat[-1:], -shape.out_c % (GROUP * words_per_lane), axis=0)])
    order = _arranged(rows, group_order(rows).reshape(-1, GROUP), words_per_lane)
    groups = rows[order].reshape(-1, GROUP, shape.taps)
    sizes = _class_sizes(groups)
    lists = [_lists(four, patch_words(shape.taps)) for four in groups.reshape(-1, words_per_lane, *groups.shape[1:])]
    bounds = _bounds(shape, sizes, thresholds[:, np.minimum(order, shape.out_c - 1)], words_per_lane)
    arrays: dict[str, Array] = {
        "lists": np.frombuffer(b"".join(data for data, _ in lists), np.uint8),
        "order": np.where(order < shape.out_c, order, 65535).astype(np.uint16),
        "bounds": bounds,
        "row_class": shape.row_classes(),
        "col_class": shape.col_classes(),
    }
    planes = max(8, digits_of(int((sizes[:, :4] + sizes[:, 4:]).max())), digits_of(int(sizes[:, :4].max())) + 1)
    carries = max(blocks for _, blocks in lists) + 3
    row_classes, col_classes = classes(shape)
    geometry = shape.c_initializer("$row_class", "$col_class")
    template = c_struct(
        shape=geometry, row_classes=row_classes, planes=planes, digits=digits_of_bound(shape), carries=carries,
        steps=len(lists), lists="$lists", order="$order", bounds="$bounds",
    )  # fmt: skip
    vectors = (row_classes << col_classes) + carries + _patch_vectors(shape)
    words = vectors * words_per_lane + 2 * _patch_vectors(shape) + phase_words(shape)
    return Layer(arrays, template, words, "bnn2c_class_groups")


def _columns(groups: Array) -> Array:
    """The weights of each input as a number, uint8 [..., taps]; groups [..., 4, taps]."""
    result: Array = (groups << np.arange(GROUP, dtype=np.uint8)[:, None]).sum(axis=-2, dtype=np.uint8)
    return result


def _class_sizes(groups: Array) -> Array:
    """Inputs per class, int64 [groups, 8]."""
    found = _CLASS_OF[0][_columns(groups)]
    return np.array([np.bincount(one, minlength=CLASSES) for one in found], np.int64)


def _arranged(rows: Array, groups: Array, together: int) -> Array:
    """The channels of `groups` int [groups, 4] in the order of the kernel, which takes few blocks.

    Groups that go together should have classes of equal sizes: to each first one come those others, each with that
    order of its channels, that need the fewest blocks more.
    """
    counts = np.array([np.bincount(one, minlength=16) for one in _columns(rows[groups])])
    sizes = np.zeros((len(groups), len(_ORDERS), CLASSES), np.int64)
    for place, of in enumerate(_CLASS_OF):
        for column, number in enumerate(of):
            sizes[:, place, number] += counts[:, column]
    blocks = -(-sizes // PLACES)
    left = list(range(len(groups)))
    result = []
    while left:
        most = np.zeros(CLASSES, np.int64)
        for place in range(together):
            choices = blocks[left][:, :1] if place == 0 else blocks[left]
            need = np.maximum(most, choices).sum(axis=2)
            best, order = divmod(int(need.argmin()), need.shape[1])
            most = np.maximum(most, choices[best, order])
            result.append(groups[left.pop(best)][_ORDERS[order]])
    return np.concatenate(result)


def _lists(fours: Array, words: int) -> tuple[bytes, int]:
    """The lists of groups side by side, uint8 [words_per_lane, 4, taps], and the blocks of the longest class."""
    columns = _columns(fours)
    data, longest = b"", 0
    for number in SEQUENCE:
        members = [np.flatnonzero(of == number) for of in _CLASS_OF[0][columns]]
        places = [sorted(_word(m) + SPREAD * (c[m] & 1)) for m, c in zip(members, columns, strict=True)]
        blocks = _blocks(places, words)
        data += len(blocks).to_bytes(2, "little") + b"".join(blocks)
        longest = max(longest, len(blocks))
    return data, longest


def _word(inputs: Array) -> Array:
    """Words of the patch that hold the inputs."""
    vector = inputs + inputs // RUN + 1
    result: Array = 2 * SPREAD * (vector // SPREAD) + vector % SPREAD
    return result


def _blocks(places: list[list[int]], words: int) -> list[bytes]:
    """Window number and entries [8][words_per_lane] of each block; `places`: ascending words of each group."""
    last = int(_word(np.array([words - 2 - (words - 2) // (RUN + 1)]))[0])
    blocks: list[bytes] = []
    taken = [0] * len(places)
    while not blocks or any(t < len(p) for t, p in zip(taken, places, strict=True)):
        start = min((p[t] for t, p in zip(taken, places, strict=True) if t < len(p)), default=0) // STEP * STEP
        zero = -(-start // WINDOW) * WINDOW
        entries = np.full((PLACES, len(places)), min(zero, last) - start, np.uint8)
        for group, place in enumerate(places):
            found = [w - start for w in place[taken[group] : taken[group] + PLACES] if w < start + WINDOW]
            entries[: len(found), group] = found
            taken[group] += len(found)
        blocks.append(bytes([start // STEP]) + entries.tobytes())
    return blocks


def _bounds(shape: ConvShape, sizes: Array, thresholds: Array, together: int) -> Array:
    """uint8 [steps, 4, row_classes, digits, together]: bound K per channel (bnn2c_class_sharing.h) as word offsets."""
    differs = (np.arange(CLASSES)[:, None] >> np.arange(GROUP - 1)) & 1
    offset = np.concatenate([np.zeros((len(sizes), 1), np.int64), -sizes @ differs], axis=1).reshape(-1)
    bound = np.clip(thresholds.astype(np.int64), -1, shape.taps) + 1 + offset
    sets = class_digits(shape, bound, digits_of_bound(shape))
    grouped = sets.reshape(-1, together, GROUP, *sets.shape[1:]) * np.uint8(together)
    return grouped.transpose(0, 2, 3, 4, 1)


# Instructions per word of pixels and vector of groups, the same and per 8 inputs, per vector of pixels and input when
# rows of input and output are equal, per row piece when they are not, per piece of a strided input, and per word and
# vector of groups whose sums have more than 8 digits; fitted to counts on Cortex-M55 as those of class sharing.
_COSTS = (3360, 76.9, 33.2, 8.14, 70, 944)
_LANES = 4


def cost(shape: ConvShape) -> Cost:
    """Predicted cost for weights without structure on a core with MVE."""
    per_step, per_block, per_wide, per_piece, per_phase, per_long = _COSTS
    words, steps = -(-shape.out_h * shape.out_w // 32), -(-shape.out_c // (GROUP * _LANES))
    vectors, pieces = -(-words // _LANES), row_pieces(shape, _LANES)
    step = per_step + per_block * shape.taps / PLACES + per_long * (shape.taps > LONG)
    gathered = pieces * per_piece if pieces else vectors * shape.taps * per_wide
    instructions = words * steps * step + gathered + phase_pieces(shape, _LANES) * per_phase
    row_classes, col_classes = classes(shape)
    blocks = shape.taps / PLACES * 1.1 + CLASSES / 2
    flash = steps * (33 * blocks + 16 + _LANES * GROUP * (2 + row_classes * digits_of_bound(shape)))
    vector_words = (row_classes << col_classes) + shape.taps // 40 + 20 + _patch_vectors(shape)
    arena = 4 * (vector_words * _LANES + 2 * _patch_vectors(shape) + phase_words(shape))
    return Cost(round(instructions), round(flash) + shape.out_h + shape.out_w, arena)
