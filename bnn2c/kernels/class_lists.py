"""The input lists of class sharing: grouping of output channels, classes of inputs, blocks (bnn2c_class_sums.h)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from bnn2c.kernels.shape import Array

GROUP = 4
CLASSES = 8
SEQUENCE = (0, 4, 1, 5, 2, 6, 3, 7)  # class i + 4 goes on counting where class i ends
RUN = 127  # inputs between two zero words of the patch (BNN2C_PATCH_RUN)
WINDOW = 256  # words that a byte reaches
NEAR_WORDS = 1024  # BNN2C_CLASS_NEAR_WORDS


def patch_words(taps: int) -> int:
    """Words of a patch with its zero words."""
    return taps + (taps - 1) // RUN + 2


def group_order(rows: Array, swaps_per_row: int = 30) -> Array:
    """A permutation of the rows (uint8 [4 * groups, taps]) whose groups take few blocks.

    Random swaps between groups, kept when they do not hurt; the same for the same rows on any machine.
    """
    order = np.arange(len(rows))
    random = Random(len(rows))
    blocks = [_least_blocks(four) for four in rows.reshape(-1, GROUP, rows.shape[1])]
    for _ in range(swaps_per_row * len(rows) if len(blocks) > 1 else 0):
        a, b = int(random.random() * len(rows)), int(random.random() * len(rows))
        first, second = a // GROUP, b // GROUP
        order[[a, b]] = order[[b, a]]
        counts = [_least_blocks(rows[order[GROUP * g : GROUP * g + GROUP]]) for g in (first, second)]
        if sum(counts) > blocks[first] + blocks[second]:
            order[[a, b]] = order[[b, a]]
        else:
            blocks[first], blocks[second] = counts
    result: Array = np.sort(order.reshape(-1, GROUP), axis=1).reshape(-1)
    return result


def _class_of(four: Array) -> Array:
    """Class of each input: bit j - 1 is set where channel j differs from channel 0."""
    relative = four[1:] ^ four[0]
    result: Array = relative[0] | relative[1] << 1 | relative[2] << 2
    return result


def _least_blocks(four: Array) -> int:
    """Blocks that the lists of a group take when nothing but rounding is lost."""
    return int(((np.bincount(_class_of(four), minlength=CLASSES) + 7) >> 3).sum())


def class_sizes(groups: Array) -> Array:
    """Inputs per class, int64 [groups, 8]; groups uint8 [groups, 4, taps]."""
    return np.array([np.bincount(_class_of(four), minlength=CLASSES) for four in groups], np.int64)


@dataclass(frozen=True)
class ClassList:
    """The packed list of one class: its bytes, number of blocks, and the ones that unused places add."""

    data: bytes
    blocks: int
    surplus: int


@dataclass(frozen=True)
class ListPacker:
    """Turns the inputs of a class into blocks, for patches of `words` words."""

    words: int

    @property
    def granule(self) -> int:
        """Words between two windows."""
        return 4 if self.words <= NEAR_WORDS else 64

    def group(self, four: Array) -> dict[int, ClassList]:
        """The lists of a group of rows, uint8 [4, taps], by class, in the order in which they are stored."""
        classes = _class_of(four)
        members = {i: np.flatnonzero(classes == i) for i in SEQUENCE}
        return {i: self.pack(m[four[0, m] == 0], m[four[0, m] == 1]) for i, m in members.items()}

    def pack(self, plain: Array, inverted: Array) -> ClassList:
        """Plain blocks (ascending inputs), the mixed block, inverted blocks (descending, to stay near)."""
        up = [int(i) + int(i) // RUN + 1 for i in plain]
        down = [int(i) + int(i) // RUN + 1 for i in inverted[::-1]]
        before, after = [], []
        while len(up) >= 8 or not self._fits(up):
            before.append(self._take(up))
        left, remaining = len(up), len(down)
        mixed = self._take(down, up)
        signs = ((1 << (remaining - len(down))) - 1) << left
        surplus = -len(down)
        while down:
            after.append(self._take(down))
        blocks = [*before, mixed, *after]
        header = [*self._count(before), signs, *self._count(after)]
        data = bytes([*header, *(byte for block in blocks for byte in self._bytes(block))])
        return ClassList(data, len(blocks), surplus + 8 * len(after))

    def _count(self, blocks: list[list[int]]) -> list[int]:
        """A number of blocks as one byte, or two for large patches."""
        return [len(blocks)] if self.granule == 4 else [len(blocks) & 255, len(blocks) >> 8]

    def _fits(self, block: list[int]) -> bool:
        """Whether one window reaches all words."""
        return not block or max(block) < min(block) // self.granule * self.granule + WINDOW

    def _take(self, source: list[int], first: Sequence[int] = ()) -> list[int]:
        """Moves words from the front of `source` behind `first` until the block is full; fills up with a zero word."""
        block = list(first)
        while source and len(block) < 8 and self._fits([*block, source[0], self._zero([*block, source[0]])]):
            block.append(source.pop(0))
        return block + [self._zero(block)] * (8 - len(block))

    def _zero(self, block: list[int]) -> int:
        """The zero word nearest to a block."""
        low, high = min(block, default=0), max(block, default=0)
        below = low // (RUN + 1) * (RUN + 1)
        above = min(below + RUN + 1, self.words - 1)
        return below if high - below <= max(high, above) - low else above

    def _bytes(self, block: list[int]) -> list[int]:
        """Window number and offsets."""
        window = min(block) // self.granule
        return [window, *(word - window * self.granule for word in block)]
