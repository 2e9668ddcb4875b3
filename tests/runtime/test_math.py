"""The elementwise helpers against numpy, on ordinary and special numbers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from harness import RUNTIME, SANITIZE
from strict import WARNINGS

SPECIAL = [0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.49, 8388607.5, 8388609.0, 2.0**31, -(2.0**40), 1e30, 1e-40]
SPECIAL += [np.inf, -np.inf, np.nan, 7.0, -7.0, 3.0, -3.0, 0.1, 4194304.5, 0.49999997]
ONE = {"absf": np.abs, "signf": np.sign, "roundf": np.rint, "floorf": np.floor, "truncf": np.trunc}
TWO = {"minf": np.minimum, "maxf": np.maximum, "modf": np.mod}


def evaluate(calls: list[str], x: np.ndarray, folder: Path, header: str) -> np.ndarray:
    lines = "".join(f"    value = {call};\n    (void)fwrite(&value, 4u, 1u, stdout);\n" for call in calls)
    program = (
        f'#include <stdio.h>\n#include "bnn2c_{header}.h"\nint main(void);\nint main(void) {{\n  float x[2];\n'
        f"  while (fread(x, 4u, 2u, stdin) == 2u) {{\n    float value = 0.0f;\n{lines}  }}\n  return 0;\n}}\n"
    )
    (folder / "math.c").write_text(program, encoding="utf-8")
    command = ["gcc", *WARNINGS, *SANITIZE, f"-I{RUNTIME}", str(folder / "math.c"), "-o", str(folder / "math"), "-lm"]
    subprocess.run(command, check=True, timeout=60)
    command = [str(folder / "math")]
    raw = subprocess.run(command, input=x.tobytes(), stdout=subprocess.PIPE, check=True, timeout=60)
    return np.frombuffer(raw.stdout, np.float32).reshape(-1, len(calls))


@pytest.fixture
def pairs() -> np.ndarray:
    numbers = np.array(SPECIAL, np.float32)
    grid = np.stack(np.meshgrid(numbers, numbers), axis=-1).reshape(-1, 2)
    rng = np.random.default_rng(9)
    wide = rng.standard_normal((4000, 2)) * 10.0 ** rng.integers(-6, 7, (4000, 2))
    return np.concatenate([grid, wide.astype(np.float32)])


def test_bits_of_whole_numbers(tmp_path: Path) -> None:
    """In two's complement, up to 32 bits and a sign; float32 rounds what needs more than 24 digits."""
    rng = np.random.default_rng(4)
    wide = rng.integers(-(2**24), 2**24, (4000, 2)) >> rng.integers(0, 25, (4000, 2))
    ends = [0, -1, 1, 255, -256, 2**24, -(2**24), 2**31, -(2**31), 2**32 - 256, 256 - 2**32, -(2**31) - 256]
    whole = np.concatenate([np.stack(np.meshgrid(ends, ends), axis=-1).reshape(-1, 2), wide])
    got = evaluate(
        [f"bnn2c_bit_{name}f(x[0], x[1])" for name in ("and", "or", "xor")], whole.astype("f"), tmp_path, "math"
    )
    for column, function in enumerate((np.bitwise_and, np.bitwise_or, np.bitwise_xor)):
        np.testing.assert_array_equal(got[:, column], function(whole[:, 0], whole[:, 1]).astype(np.float32))


def test_without_library(pairs: np.ndarray, tmp_path: Path) -> None:
    calls = [f"bnn2c_{name}(x[0])" for name in ONE] + [f"bnn2c_{name}(x[0], x[1])" for name in TWO]
    got = evaluate(calls, pairs, tmp_path, "math")
    with np.errstate(all="ignore"):
        for column, function in enumerate(ONE.values()):
            np.testing.assert_array_equal(got[:, column], function(pairs[:, 0]), err_msg=calls[column])
        for column, function in enumerate(TWO.values(), len(ONE)):
            np.testing.assert_array_equal(got[:, column], function(pairs[:, 0], pairs[:, 1]), err_msg=calls[column])


def test_sigmoid(pairs: np.ndarray, tmp_path: Path) -> None:
    got = evaluate(["bnn2c_sigmoidf(x[0])"], pairs, tmp_path, "math_libm")
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got[:, 0], 1 / (1 + np.exp(-pairs[:, 0].astype(np.float64))), rtol=1e-6, atol=1e-37)
