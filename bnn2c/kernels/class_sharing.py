"""Lanes are pixels, four output channels share their class sums; the kernel is runtime_c/bnn2c_class_sharing.h."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from bnn2c.kernels.shape import Array, ConvShape, Cost, digits_of, lanes

HEADER = "bnn2c_class_sharing.h"
STRUCT = "bnn2c_class_sharing"
IN_LAYOUT = OUT_LAYOUT = "planes"
GROUP = 4
CLASSES = 8
SEQUENCE = (0, 4, 1, 5, 2, 6, 3, 7)  # class i + 4 goes on counting where class i ends
RUN = 127  # inputs between two zero words of the patch (BNN2C_PATCH_RUN)
WINDOW = 256


def supports(shape: ConvShape, target_features: Sequence[str] = ()) -> str | None:
    """None, or the reason why this family cannot run the layer."""
    if shape.stride_h != 1 or shape.stride_w != 1:
        return "stride other than 1"
    if int(shape.col_classes().max()) >= 6:
        return "more than 6 border classes of columns"
    if patch_words(shape) > 255 * 64:
        return "more than 16000 weights per output channel"
    return shape.limit_error()


def to_planes(bits: Array) -> Array:
    """Bits uint8 [h, w, c] in layout planes: uint32 [c, ceil(h * w / 32)]."""
    height, width, channels = bits.shape
    return lanes(np.ascontiguousarray(bits.reshape(height * width, channels).T))


def patch_words(shape: ConvShape) -> int:
    """Words of a patch with its zero words."""
    return shape.taps + (shape.taps - 1) // RUN + 2


def scratch_words(shape: ConvShape) -> int:
    """Words of scratch: planes of the border classes, then the patch."""
    row_classes, col_classes = int(shape.row_classes().max()) + 1, int(shape.col_classes().max()) + 1
    return (row_classes << col_classes) + patch_words(shape) + 30


def granule_of(shape: ConvShape) -> int:
    """Distance of two windows in patch words (BNN2C_CLASS_NEAR_WORDS)."""
    return 4 if patch_words(shape) <= 1024 else 64


def digits_of_bound(shape: ConvShape) -> int:
    """Two's complement digits of sum - bound."""
    return digits_of(shape.taps + 1) + 1


def planes_of(groups: list[list[tuple[Array, Array]]]) -> int:
    """Digits of a class sum: those of the largest class, at least 7."""
    largest = max(len(inverted) + len(plain) for group in groups for inverted, plain in group)
    return max(7, digits_of(largest))


def split(rows: Array) -> list[list[tuple[Array, Array]]]:
    """Per group of four rows and class, the inputs added inverted and plain; rows uint8 [4 * groups, taps]."""
    groups = []
    for four in rows.reshape(-1, GROUP, rows.shape[1]):
        members = [np.flatnonzero(_class_of(four) == i) for i in range(CLASSES)]
        groups.append([(m[four[0, m] == 1], m[four[0, m] == 0]) for m in members])
    return groups


def _class_of(four: Array) -> Array:
    """Class of each input: bit j - 1 is set where channel j differs from channel 0."""
    relative = four[1:] ^ four[0]
    result: Array = relative[0] + 2 * relative[1] + 4 * relative[2]
    return result


def _blocks(four: Array) -> int:
    """Blocks that the lists of a group take when nothing but rounding is lost."""
    return int(((np.bincount(_class_of(four), minlength=CLASSES) + 7) // 8).sum())


def group_order(rows: Array, swaps_per_row: int = 60) -> Array:
    """A permutation of the rows whose groups take few blocks: random swaps between groups, kept when they help."""
    order = np.arange(len(rows))
    random = Random(len(rows))
    blocks = [_blocks(four) for four in rows.reshape(-1, GROUP, rows.shape[1])]
    for _ in range(swaps_per_row * len(rows) if len(blocks) > 1 else 0):
        a, b = int(random.random() * len(rows)), int(random.random() * len(rows))
        trial = order.copy()
        trial[[a, b]] = order[[b, a]]
        pair = (a // GROUP, b // GROUP)
        counts = [_blocks(rows[trial[GROUP * g : GROUP * g + GROUP]]) for g in pair]
        if sum(counts) <= blocks[pair[0]] + blocks[pair[1]] and pair[0] != pair[1]:
            order = trial
            blocks[pair[0]], blocks[pair[1]] = counts
    return order


@dataclass(frozen=True)
class _Packer:
    """Turns the inputs of a class into blocks; positions are words of the patch."""

    words: int
    granule: int

    def run(self, inverted: Array, plain: Array) -> tuple[int, int, list[int]]:
        """Number of blocks, ones added by unused places, and the list of a class."""
        up = [int(i) + int(i) // RUN + 1 for i in plain]
        down = [int(i) + int(i) // RUN + 1 for i in inverted[::-1]]
        before = []
        while len(up) >= 8 or not self._fits(up):
            before.append(self._take(up))
        left = len(up)
        remaining = len(down)
        middle = self._take(down, up)
        signs = ((1 << (remaining - len(down))) - 1) << left
        after = []
        surplus = -len(down)
        while down:
            after.append(self._take(down))
        if max(len(before), len(after)) > 255:
            raise ValueError("a class is too large for the list format")
        blocks = [*before, middle, *after]
        data = [len(before), signs, len(after), *(byte for block in blocks for byte in self._bytes(block))]
        return len(blocks), surplus + 8 * len(after), data

    def _fits(self, block: list[int]) -> bool:
        """Whether one window reaches all words."""
        return not block or max(block) < min(block) // self.granule * self.granule + WINDOW

    def _take(self, source: list[int], first: Sequence[int] = ()) -> list[int]:
        """Removes words from the front of `source` until the block, which starts with `first`, is full, and fills it."""
        block = list(first)
        while source and len(block) < 8 and self._fits([*block, source[0], self._zero([*block, source[0]])]):
            block.append(source.pop(0))
        return block + [self._zero(block)] * (8 - len(block))

    def _zero(self, block: list[int]) -> int:
        """The zero word nearest to a block."""
        zeros = [*range(0, self.words, RUN + 1), self.words - 1]
        low, high = min(block, default=0), max(block, default=0)
        return min(zeros, key=lambda z: max(high, z) - min(low, z))

    def _bytes(self, block: list[int]) -> list[int]:
        """Window number and offsets."""
        window = min(block) // self.granule
        return [window, *(word - window * self.granule for word in block)]


def bounds(shape: ConvShape, groups: list[list[tuple[Array, Array]]], surplus: Array, thresholds: Array, order: Array) -> Array:
    """uint8 [out_c padded to 4, row_classes, digits]: bit c of digit b of K for column class c.

    surplus [groups, 8]: ones that the list of each class adds.  m[0] = T - all surplus; m[j] = 2 A[j] - T + N[j] with
    the surplus of the classes of A[j] counted +2, and of all classes -1.
    """
    digits, padded = digits_of_bound(shape), len(groups) * GROUP
    row_classes, col_classes = int(shape.row_classes().max()) + 1, int(shape.col_classes().max()) + 1
    sizes = np.array([[len(a) + len(b) for a, b in group] for group in groups])
    differs = (np.arange(CLASSES)[:, None] >> np.arange(GROUP - 1)) & 1
    offset = np.empty((len(groups), GROUP), np.int64)
    offset[:, 0] = surplus.sum(axis=1)
    offset[:, 1:] = 2 * surplus @ (1 - differs) - surplus.sum(axis=1, keepdims=True) - sizes @ differs
    limit = np.clip(thresholds.astype(np.int64), -1, shape.taps) + 1
    limit = limit[:, np.minimum(order, shape.out_c - 1)]
    limit += offset.reshape(1, padded)
    bits = (limit.T.reshape(padded, row_classes, col_classes)[..., None] >> np.arange(digits)) & 1
    result: Array = (bits << np.arange(col_classes)[:, None]).sum(axis=2).astype(np.uint8)
    return result


def _last_group_full_first(order: Array, out_c: int) -> Array:
    """Within each group, real channels before the copies that fill the last group."""
    result: Array = np.sort(order.reshape(-1, GROUP), axis=1).reshape(-1)
    return result


def pack(shape: ConvShape, weight_bits: Array, thresholds: Array) -> dict[str, Array]:
    """Constant arrays."""
    flat = weight_bits.reshape(shape.out_c, -1)
    rows = np.concatenate([flat, np.repeat(flat[-1:], -shape.out_c % GROUP, axis=0)])
    order = _last_group_full_first(group_order(rows), shape.out_c)
    groups = split(rows[order])
    packer = _Packer(patch_words(shape), granule_of(shape))
    lists = [[packer.run(*group[i]) for i in SEQUENCE] for group in groups]
    surplus = np.array([[packed[SEQUENCE.index(i)][1] for i in range(CLASSES)] for packed in lists])
    print("blocks", sum(n for g in lists for n, _, _ in g) / len(groups))
    return {
        "lists": np.array([byte for group in lists for _, _, data in group for byte in data], np.uint8),
        "bounds": bounds(shape, groups, surplus, thresholds, order),
        "order": np.where(order < shape.out_c, order, 65535).astype(np.uint16),
        "row_class": shape.row_classes(),
        "col_class": shape.col_classes(),
    }


def struct_initializer(shape: ConvShape, names: dict[str, str], thresholded: bool) -> str:
    """C initialiser."""
    geometry = shape.c_initializer(names["row_class"], names["col_class"])
    rows = int(shape.row_classes().max()) + 1
    return (f"{{{geometry}, {rows}u, 8u, {digits_of_bound(shape)}u, 30u, "
            f"{names['lists']}, {names['order']}, {names['bounds']}}}")  # fmt: skip


def call(params: str, source: str, scratch: str, out: str, result: str) -> str:
    """C call."""
    return f"bnn2c_class_sharing_{result}({params}, {source}, {scratch}, {out});"


__all__ = ["Cost"]
