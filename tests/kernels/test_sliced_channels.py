"""sliced_channels against numpy: shapes, padding, strides, dilation, odd channel counts, extreme thresholds."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from kernel_harness import Case, conv, run_cases

from bnn2c.kernels import sliced_channels
from bnn2c.kernels.shape import ConvShape

CHANNELS = [(1, 1), (3, 5), (16, 32), (31, 33), (32, 31), (33, 64), (48, 96), (64, 8), (70, 40)]
PADS = [(0, 0, 0, 0), (1, 1, 1, 1), (1, 0, 0, 2), (0, 2, 1, 0)]


def _grid() -> list[Case]:
    """Small convolutions over channels, padding and strides, one result type after the other."""
    shapes = [
        conv((4, 5), channels, (3, 3), pad=pad, stride=stride)
        for channels, pad, stride in itertools.product(CHANNELS, PADS, [(1, 1), (2, 2), (1, 2)])
    ]
    return [Case(shape, ("bits", "bits", "i16", "i32")[i % 4], i) for i, shape in enumerate(shapes)]


def _special() -> list[Case]:
    """1x1, 5x5, rectangular and dilated kernels, dense layers, a patch of many words."""
    shapes = [
        conv((3, 3), (40, 20), (1, 1)),
        conv((1, 1), (24, 10), (1, 1), pad=(1, 0, 1, 2)),
        conv((6, 6), (9, 17), (5, 5), pad=(2, 2, 2, 2)),
        conv((5, 7), (12, 34), (2, 3), pad=(0, 1, 1, 1), dilation=(2, 2)),
        conv((2, 9), (65, 3), (1, 4), pad=(0, 3, 0, 3), stride=(1, 3)),
        conv((3, 3), (256, 33), (3, 3), pad=(1, 1, 1, 1)),
        *(ConvShape.dense(n, o) for n, o in [(1, 1), (31, 7), (33, 40), (64, 10), (784, 33), (1100, 3), (4097, 2)]),
    ]
    return [Case(shape, result, i) for i, shape in enumerate(shapes) for result in ("bits", "i16", "i32")]


@pytest.mark.parametrize("lane_words", [1, 4, pytest.param(8, marks=pytest.mark.slow)])
def test_equals_reference(lane_words: int, tmp_path: Path) -> None:
    """Every output word equals the reference; no sanitizer finding."""
    assert run_cases(sliced_channels, [*_grid(), *_special()], tmp_path, lane_words=lane_words) == []


def test_diagonals_equal_reference(tmp_path: Path) -> None:
    """The same with weights in diagonals."""
    assert run_cases(sliced_channels, [*_grid(), *_special()], tmp_path, diagonal=True) == []


def test_one_flash_bit_per_weight() -> None:
    """Weights of layers with whole words take exactly one bit each."""
    import numpy as np

    for shape in (conv((16, 16), (64, 64), pad=(1, 1, 1, 1)), ConvShape.dense(1024, 1024)):
        weights = np.zeros((shape.out_c, shape.kernel_h, shape.kernel_w, shape.in_c), np.uint8)
        packed = sliced_channels.pack(shape, weights, None)["weights"]
        assert packed.nbytes * 8 == shape.taps * shape.out_c


def test_refuses_groups() -> None:
    """Grouped convolutions are left to other families."""
    assert sliced_channels.supports(ConvShape(4, 4, 8, 4, 4, 8, groups=2)) == "grouped convolution"
