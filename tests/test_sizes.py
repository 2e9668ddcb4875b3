"""Sizes that the README promises: TFC_1W1A and CNV_1W1A on a Cortex-M4 at --optimize size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from models import Net, compiled, mlp

from bnn2c.bench import bench_model
from bnn2c.pipeline import Compiled

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench"))

import networks  # noqa: E402

KIB = 1024
SCALE = 1 / 255


@pytest.fixture(scope="module")
def tfc() -> Compiled:
    """59,008 binary weights."""
    model = mlp(widths=(784, 64, 64, 64, 10))
    return compiled(model, target="cortex-m4", optimize="size", input_scale=SCALE)


@pytest.mark.cross
def test_a_small_network_is_small(tfc: Compiled) -> None:
    found = bench_model(tfc)
    assert found["constant_bytes"] <= 8.5 * KIB
    assert found["code_bytes"] <= 2 * KIB
    assert found["arena_bytes"] <= 256


@pytest.mark.cross
def test_pixels_need_no_float_library(tmp_path: Path) -> None:
    """The numbers that leave a network without real parts are integers."""
    rng, n = np.random.default_rng(0), Net()
    x = n.chain(n.add("Mul", n.input([1, 784]), 2.0), ("Sub", 1.0))
    for fan_in, fan_out in ((784, 64), (64, 10)):
        x = n.chain(n.add("Sign", n.add("Add", x, 0.001)), ("MatMul", rng.choice([-1.0, 1.0], (fan_in, fan_out))))
    result = compiled(n.model(n.add("ArgMax", x, axis=1), element=7), target="cortex-m0", input_scale=SCALE)
    for name, text in result.files.items():
        (tmp_path / name).write_text(text)
    sources = [str(path) for path in sorted(tmp_path.glob("*.c"))]
    command = ["arm-none-eabi-gcc", "-mcpu=cortex-m0", "-mthumb", "-Os", "-std=c99", "-r", "-nostdlib"]
    subprocess.run([*command, *sources, "-o", str(tmp_path / "net.o")], check=True)
    listing = subprocess.run(
        ["arm-none-eabi-nm", "-u", str(tmp_path / "net.o")], capture_output=True, text=True, check=True
    )
    assert listing.stdout == ""


def test_weights_of_a_convolutional_network_take_one_bit() -> None:
    """1,542,848 binary weights; the arena holds little more than the two largest neighbours, packed."""
    found = compiled(networks.cnv(), target="cortex-m4", optimize="size", input_scale=SCALE).manifest
    assert found["weights_bytes"] <= 200 * KIB
    assert found["arena_bytes"] <= 1.1 * largest_neighbours(found["layers"])


def largest_neighbours(layers: list[dict]) -> int:
    """Bytes of the two largest consecutive tensors: bytes of pixels, and bits, a pixel's channels packed into words."""
    shapes = [(layer["storage"], *layer["output_shape"]) for layer in layers]
    sizes = [{"bits": h * w * -(-c // 32) * 4, "u8": h * w * c}.get(kind, 0) for kind, h, w, c in shapes]
    return max(a + b for a, b in zip(sizes, sizes[1:], strict=False))
