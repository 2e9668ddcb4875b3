"""popcount_rows against numpy: shapes, padding, strides, odd channel counts; NEON under qemu-user."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest
from kernel_harness import Case, conv, run_cases

from bnn2c.kernels import popcount_rows
from bnn2c.kernels.shape import ConvShape

CHANNELS = [(1, 1), (3, 5), (31, 33), (48, 96), (64, 9), (130, 12)]
GRID = itertools.product(CHANNELS, [(0, 0, 0, 0), (1, 0, 0, 2)], [(1, 1), (1, 2)])
DENSE = [ConvShape.dense(n, o) for n, o in [(1, 1), (33, 40), (784, 33), (1024, 16), (2100, 9), (8200, 3)]]
PIXELS = [conv((5, 4), (c, 9), (1, 1), stride=(2, 1), pad=(1, 0, 2, 1)) for c in (32, 128, 256)]
SHAPES = [conv((4, 5), channels, (3, 3), pad=pad, stride=stride) for channels, pad, stride in GRID]
SHAPES += DENSE + PIXELS
CASES = [Case(shape, ("bits", "bits", "i16", "i32")[i % 4], i) for i, shape in enumerate(SHAPES)]
CASES += [Case(shape, "bits") for shape in DENSE + PIXELS]


def test_equals_reference(tmp_path: Path) -> None:
    """The scalar form, with sanitizers."""
    assert run_cases(popcount_rows, CASES, tmp_path) == []


@pytest.mark.cross
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("machine", ["aarch64-linux-gnu", "arm-linux-gnueabihf"])
def test_neon_equals_reference(machine: str, compiler: str, tmp_path: Path) -> None:
    """The NEON form in user-mode emulation."""
    emulator = "qemu-aarch64" if machine.startswith("aarch64") else "qemu-arm"
    if not all(map(shutil.which, (f"{machine}-gcc", emulator, compiler))):
        pytest.skip("no cross compiler or emulator")
    flags = () if emulator == "qemu-aarch64" else ("-mfpu=neon", "-march=armv7-a")
    clang = ("clang", f"--target={machine}", f"-isystem/usr/{machine}/include")
    command = (*((f"{machine}-gcc",) if compiler == "gcc" else clang), "-std=c99", "-O2", "-static", *flags)
    assert run_cases(popcount_rows, CASES, tmp_path, command, 1, (emulator,)) == []


def test_refuses_targets_without_counting() -> None:
    """Where counting bits is a library call the family is not offered."""
    assert popcount_rows.supports(ConvShape.dense(8, 8), ()) is not None
