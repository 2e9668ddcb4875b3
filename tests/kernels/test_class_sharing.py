"""class_sharing against numpy: shapes, padding, channel counts, extreme thresholds, lane widths."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from kernel_harness import Case, conv, run_cases

from bnn2c.kernels import class_sharing
from bnn2c.kernels.class_lists import ListPacker, patch_words
from bnn2c.kernels.shape import ConvShape

CHANNELS = [(1, 1), (3, 5), (31, 7)]
PADS = [(0, 0, 0, 0), (1, 1, 1, 1), (1, 0, 0, 2), (0, 2, 1, 0)]
SIZES = [(4, 5), (3, 33), (16, 16), (9, 14)]


def _grid() -> list[Case]:
    """Small convolutions over sizes, channels and padding."""
    grid = itertools.product(SIZES, CHANNELS, PADS)
    return [Case(conv(size, channels, (3, 3), pad=pad), seed=i) for i, (size, channels, pad) in enumerate(grid)]


def _special() -> list[Case]:
    """1x1, 5x5, rectangular and dilated kernels, one pixel, a patch with two-byte counts."""
    shapes = [
        conv((3, 3), (40, 20), (1, 1)),
        conv((1, 1), (24, 10), (1, 1), pad=(1, 0, 1, 2)),
        conv((7, 6), (9, 17), (5, 5), pad=(2, 2, 2, 2)),
        conv((5, 7), (12, 34), (2, 3), pad=(0, 1, 1, 1), dilation=(2, 2)),
        conv((4, 70), (5, 6), (3, 3), pad=(1, 1, 1, 1)),
        conv((40, 1), (5, 6), (3, 1), pad=(1, 0, 1, 0)),
        conv((6, 6), (64, 8), (5, 5), pad=(2, 2, 2, 2)),
        conv((8, 8), (7, 5), (3, 3), pad=(1, 1, 1, 1), stride=(2, 2)),
        conv((9, 37), (5, 4), (3, 3), pad=(0, 1, 2, 1), stride=(1, 2)),
        conv((13, 11), (4, 6), (2, 2), stride=(2, 2)),
        conv((15, 16), (6, 4), (3, 5), pad=(1, 2, 1, 2), stride=(3, 4), dilation=(2, 1)),
        conv((16, 16), (33, 4), (1, 1), stride=(2, 2)),
        ConvShape.dense(130, 9),
    ]
    return [Case(shape, seed=i) for i, shape in enumerate(shapes)]


@pytest.mark.parametrize("lane_words", [1, 4, pytest.param(8, marks=pytest.mark.slow)])
def test_equals_reference(lane_words: int, tmp_path: Path) -> None:
    """Every output word equals the reference; no sanitizer finding.  Vectors see every fourth case of the grid."""
    grid = _grid() if lane_words == 1 else _grid()[lane_words % 3 :: 4]
    assert run_cases(class_sharing, [*grid, *_special()], tmp_path, lane_words=lane_words) == []


def test_list_of_one_class_holds_all_inputs() -> None:
    """A class of all inputs of a large patch (equal weights) still packs, and every input is listed once."""
    packer = ListPacker(patch_words(3000))
    packed = packer.pack(np.arange(0, 3000, 2), np.arange(1, 3000, 2))
    blocks = [packed.data[5 + 9 * i : 14 + 9 * i] for i in range(packed.blocks)]
    words = [64 * block[0] + offset for block in blocks for offset in block[1:]]
    inputs = [word - word // 128 - 1 for word in words if word % 128 and word != patch_words(3000) - 1]
    assert sorted(inputs) == list(range(3000))


def test_refuses_groups() -> None:
    """Grouped convolutions are left to other families."""
    assert class_sharing.supports(ConvShape(4, 4, 8, 4, 4, 8, groups=2)) == "grouped convolution"
