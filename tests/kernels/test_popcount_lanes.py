"""popcount_lanes against numpy: portable C with sanitizers; AVX-512 where this processor has it, else compiled only."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import pytest
from kernel_harness import RUNTIME, Case, conv, run_cases

from bnn2c.kernels import popcount_lanes
from bnn2c.kernels.shape import ConvShape
from bnn2c.targets import load_target
from bnn2c.toolchain import ToolchainMissing
from bnn2c.toolchain.tools import find_emulator

CHANNELS = [(1, 1), (3, 33), (31, 64), (40, 96), (64, 9), (130, 160)]
GRID = itertools.product(CHANNELS, [(0, 0, 0, 0), (1, 0, 0, 2), (1, 1, 1, 1)], [(1, 1), (1, 2), (2, 2)])
SHAPES = [conv((4, 7), channels, (3, 3), pad=pad, stride=stride) for channels, pad, stride in GRID]
SHAPES += [ConvShape.dense(n, o) for n, o in [(1, 1), (33, 40), (449, 130), (1024, 64), (8200, 3)]]
SHAPES += [
    conv((5, 7), (12, 34), (2, 3), pad=(0, 1, 1, 1), dilation=(2, 2)),
    conv((7, 6), (9, 17), (5, 5), pad=(2, 2, 2, 2)),
    conv((2, 9), (65, 3), (1, 4), pad=(0, 3, 0, 3), stride=(1, 3)),
]
BLOCKS = [32 * n for n in range(1, 11)] + [512, 544]  # every number of vectors in a block, one block and several
SHAPES += [conv((2, 9), (33 * words, out), (1, 1)) for out in BLOCKS for words in (1, 2)]
CASES = [Case(shape, seed=i) for i, shape in enumerate(SHAPES)]
TARGET = load_target("x86_64_avx512")
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wcast-qual", "-Werror")


def has_avx512() -> bool:
    """Whether programs of the target run here."""
    try:
        return find_emulator(TARGET) is None
    except ToolchainMissing:
        return False


def test_equals_reference(tmp_path: Path) -> None:
    """The portable form, with sanitizers."""
    assert run_cases(popcount_lanes, CASES, tmp_path) == []


@pytest.mark.parametrize("opt", ["-O3", "-Os"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_avx512_compiles_without_warnings(compiler: str, opt: str, tmp_path: Path) -> None:
    """On every machine with an x86-64 compiler."""
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    source = tmp_path / "kernel.c"
    source.write_text('#include "bnn2c_popcount_lanes.h"\nint kernel(void);\nint kernel(void) { return 0; }\n')
    command = [compiler, "-std=c99", opt, *TARGET.flags, *STRICT, f"-I{RUNTIME}", "-c", str(source)]
    done = subprocess.run([*command, "-o", str(tmp_path / "kernel.o")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not has_avx512(), reason="this processor has no AVX-512 with VPOPCNTDQ")
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_avx512_equals_reference(compiler: str, tmp_path: Path) -> None:
    """The form with vectors."""
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    command = (compiler, "-std=c99", "-O2", *TARGET.flags, *TARGET.link_flags)
    assert run_cases(popcount_lanes, CASES, tmp_path, command) == []


def test_every_block_is_among_the_cases() -> None:
    """One C function for each number of vectors that are counted together."""
    assert {popcount_lanes.block_vectors(shape) for shape in SHAPES} == popcount_lanes.TOGETHER.keys()


def test_refuses_what_it_cannot_run() -> None:
    """Other targets, groups."""
    assert popcount_lanes.supports(ConvShape.dense(8, 8), ("avx2",)) is not None
    assert popcount_lanes.supports(ConvShape.dense(8, 8), TARGET.isa) is None
    assert popcount_lanes.supports(ConvShape(4, 4, 8, 4, 4, 8, groups=2), TARGET.isa) == "grouped convolution"
