"""The elementwise helpers against numpy, on ordinary and special numbers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from harness import RUNTIME
from models import Net, compiled
from strict import CHECKED_GCC

from bnn2c.targets import load_target
from bnn2c.toolchain import build_shared, model_sizes, run_on_target

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
    command = [*CHECKED_GCC, f"-I{RUNTIME}", str(folder / "math.c"), "-o", str(folder / "math"), "-lm"]
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


def test_the_nearest_integer(pairs: np.ndarray, tmp_path: Path) -> None:
    near = np.abs(pairs[:, 0]) < 2**22
    halves = np.arange(-64, 65, dtype=np.float32) / 2
    x = np.concatenate([pairs[near, 0], halves, [4194303.5, -4194303.5]]).astype(np.float32)
    got = evaluate(["(float)bnn2c_nearest(x[0])"], np.stack([x, x], axis=1), tmp_path, "math")
    np.testing.assert_array_equal(got[:, 0], np.rint(x))


EXPONENTIALS = {
    "expf": (np.exp, 1.01),
    "sigmoidf": (lambda x: 1 / (1 + np.exp(-x)), 2.6),
    "tanhf": (np.tanh, 2.6),
}


def units(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Distance in units in the last place of the wanted number; 0 where both are the same infinity or NaN."""
    nearest = want.astype(np.float32)
    same = (got == nearest) | (np.isnan(got) & np.isnan(want))
    return np.where(same, 0.0, np.abs(got - want) / np.spacing(np.abs(np.where(np.isfinite(nearest), nearest, 1.0))))


@pytest.mark.parametrize("name", EXPONENTIALS)
def test_exponentials_in_units_in_the_last_place(name: str, tmp_path: Path) -> None:
    """Every 9,973rd float32: both signs, all exponents, infinities and NaN; the least sigmoids may be 0."""
    x = np.arange(0, 2**32, 9973, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([x, np.array(SPECIAL, np.float32), np.linspace(-104, 89, 20001, dtype=np.float32)])
    got = evaluate([f"bnn2c_{name}(x[0])"], np.stack([x, x], axis=1), tmp_path, "exp")[:, 0].astype(np.float64)
    function, allowed = EXPONENTIALS[name]
    with np.errstate(all="ignore"):
        want = function(x.astype(np.float64))
        apart = np.where((name == "sigmoidf") & (x < -87), np.abs(got - want) / 2.0**-125, units(got, want))
    assert apart.max() <= allowed
    assert np.median(apart) < 0.5


@pytest.mark.cross
@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4", "aarch64", "rv32imc", "powerpc"])
def test_exponentials_have_the_same_bits_on_every_target(target: str, tmp_path: Path) -> None:
    n = Net()
    x = n.input([1, 500])
    found = compiled(n.model(*(n.add(op, x) for op in ("Exp", "Sigmoid", "Tanh"))), target=target, real="float32")
    feed = [np.linspace(-12, 12, 500, dtype=np.float32).reshape(1, 500)]
    run = run_on_target(found.files, found.manifest, load_target(target), [feed], tmp_path / "target", count=False)
    host = build_shared(found.files, found.manifest, tmp_path / "host").run(feed)
    for one, other in zip(run.outputs[0], host, strict=True):
        np.testing.assert_array_equal(one.view(np.uint32), other.view(np.uint32))
    needed = model_sizes(found.files, load_target(target), tmp_path).undefined
    assert not set(needed) & {"expf", "tanhf", "expm1f"}
