"""table_rows against numpy: channels around bytes and units, sets, padding, strides, dilation; portable C and AVX2."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest
from kernel_harness import Case, conv, run_cases

from bnn2c.kernels import table_rows
from bnn2c.kernels.shape import ConvShape

CHANNELS = [(1, 1), (3, 5), (12, 33), (31, 64), (40, 96), (64, 9), (130, 12)]
GRID = itertools.product(CHANNELS, [(0, 0, 0, 0), (1, 0, 0, 2), (1, 1, 1, 1)], [(1, 1), (1, 2), (2, 2)])
SHAPES = [conv((4, 5), channels, (3, 3), pad=pad, stride=stride) for channels, pad, stride in GRID]
SHAPES += [ConvShape.dense(n, o) for n, o in [(1, 1), (33, 40), (449, 130), (784, 33), (8200, 3)]]
SHAPES += [ConvShape.dense(72, 32 * units - 3) for units in (4, 5, 6, 7, 8, 10, 13, 14, 15)]
SHAPES += [
    conv((5, 7), (12, 34), (2, 3), pad=(0, 1, 1, 1), dilation=(2, 2)),
    conv((7, 6), (9, 17), (5, 5), pad=(2, 2, 2, 2)),
    conv((6, 5), (32, 300), (2, 2), stride=(3, 2)),
    conv((2, 9), (65, 3), (1, 4), pad=(0, 3, 0, 3), stride=(1, 3)),
]
FULL = [ConvShape.dense(n, 32 * units) for n in (448, 512, 1024) for units in (1, 8)]  # counters at their limit
CASES = [Case(shape, seed=i) for i, shape in enumerate(SHAPES)] + [Case(shape, opposite=True) for shape in FULL]


def test_equals_reference(tmp_path: Path) -> None:
    """The portable form, with sanitizers."""
    assert run_cases(table_rows, CASES, tmp_path) == []


@pytest.mark.cross
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_avx2_equals_reference(compiler: str, tmp_path: Path) -> None:
    """The form with vectors, emulated: this machine need not have them."""
    if not shutil.which(compiler) or not shutil.which("qemu-x86_64"):
        pytest.skip("no compiler or emulator")
    command = (compiler, "-std=c99", "-O2", "-static", "-mavx2", "-Wall", "-Wextra", "-Werror")
    assert run_cases(table_rows, CASES, tmp_path, command, emulator=("qemu-x86_64", "-cpu", "max")) == []


def test_sets_are_few_and_fit() -> None:
    """Registers hold 7 units; the kernel has functions for 4 units and more where there are several sets."""
    for units in range(1, 200):
        sizes = table_rows.set_sizes(units)
        assert sum(sizes) == units and max(sizes) <= 7 and len(sizes) == -(-units // 7)
        assert len(sizes) == 1 or min(sizes) >= 4


def test_refuses_what_it_cannot_run() -> None:
    """Other targets, groups, sums that 16 bits do not hold."""
    avx2 = ("avx2",)
    assert table_rows.supports(ConvShape.dense(8, 8)) is not None
    assert table_rows.supports(ConvShape.dense(8, 8), avx2) is None
    assert table_rows.supports(ConvShape(4, 4, 8, 4, 4, 8, groups=2), avx2) == "grouped convolution"
    assert table_rows.supports(ConvShape.dense(40_000, 8), avx2) is not None
