"""few_pixels against numpy: last words of 1 to 16 pixels, rows and diagonals, padding, strides, odd channel counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from kernel_harness import Case, conv, run_cases

from bnn2c.kernels import few_pixels
from bnn2c.kernels.shape import ConvShape

SHAPES = [
    conv((1, 33), (3, 5), (1, 1)),
    conv((3, 42), (32, 33), (3, 3)),
    conv((3, 40), (32, 32), (3, 3), pad=(0, 1, 0, 1)),
    conv((6, 6), (16, 64), (3, 3), pad=(1, 1, 1, 1)),
    conv((6, 7), (31, 4), (2, 3), pad=(0, 1, 1, 1)),
    conv((10, 10), (9, 70), (3, 3), pad=(1, 1, 1, 1)),
    conv((11, 13), (5, 8), (3, 3), pad=(1, 1, 1, 1), stride=(2, 2)),
    conv((8, 8), (20, 3), (3, 3), pad=(1, 0, 1, 2), dilation=(2, 1)),
    conv((6, 7), (129, 36), (3, 3), pad=(1, 1, 1, 1)),
]


@pytest.mark.parametrize("diagonal", [False, True])
def test_equals_reference(diagonal: bool, tmp_path: Path) -> None:
    """Every output word equals the reference; no sanitizer finding."""
    cases = [Case(shape, "bits", i) for i, shape in enumerate(SHAPES)]
    assert [few_pixels.supports(shape) for shape in SHAPES] == [None] * len(SHAPES)
    cases.append(Case(SHAPES[2], "bits", 1, opposite=True))
    assert run_cases(few_pixels, cases, tmp_path, diagonal=diagonal) == []


def test_refuses_maps_that_fill_words() -> None:
    """Whole words, and maps of less than one, are left to other families."""
    assert few_pixels.supports(ConvShape(8, 8, 8, 8, 8, 8)) is not None
    assert few_pixels.supports(ConvShape(5, 5, 8, 5, 5, 8)) is not None
    assert few_pixels.supports(ConvShape(7, 7, 8, 7, 7, 8)) is not None
