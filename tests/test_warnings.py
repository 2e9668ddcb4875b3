"""The C that each target gets: no warning at any level of its compiler, and an assembler that takes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fixed_point_models import real_head
from models import Net, cnn, compiled, random_layer
from strict import WARNINGS

from bnn2c.pipeline import Compiled
from bnn2c.targets import load_target
from bnn2c.toolchain import ToolchainMissing, require_tools
from bnn2c.toolchain.build import Builder, write_files

TARGETS = [
    "cortex-m4",
    "cortex-m55",
    *(pytest.param(t, marks=pytest.mark.slow) for t in ("cortex-m0", "rv32imc", "aarch64")),
]
LEVELS = ("-O1", "-O2", "-O3", "-Os")


def signs(rng: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    return random_layer(rng, *shape).signs.astype(np.float32)


def two_bits() -> onnx.ModelProto:
    """Convolutions of 2-bit activations."""
    rng, n = np.random.default_rng(3), Net()
    x = n.input([1, 2, 9, 9])
    for fan_in, fan_out in ((2, 24), (24, 40)):
        codes = n.chain(n.clip(x, 0.0, 1.0), ("Mul", 3.0), ("Round",), ("Div", 3.0))
        x = n.add("Mul", n.add("Conv", codes, signs(rng, fan_out, fan_in, 3, 3), pads=[1, 1, 1, 1]), 0.125)
    return n.model(x)


def separable() -> onnx.ModelProto:
    """Depthwise and 1x1 convolutions of a map that does not fill vectors."""
    rng, n = np.random.default_rng(5), Net()
    x = n.add("Where", n.add("GreaterOrEqual", n.input([1, 32, 25, 5]), 0.0), 1.0, -1.0)
    for fan_out, fan_in, side, group in ((32, 1, 3, 32), (64, 32, 1, 1), (64, 1, 3, 64)):
        weights = signs(rng, fan_out, fan_in, side, side)
        x = n.add("Add", n.add("Conv", x, weights, group=group, pads=[side // 2] * 4), 0.5)
        x = x if group == 64 else n.add("Sign", x)
    return n.model(x)


def frames() -> onnx.ModelProto:
    """A real convolution along time in front of a binary one."""
    rng, n = np.random.default_rng(5), Net()
    x = n.add("Conv", n.input([1, 28, 28]), rng.standard_normal((64, 28, 3)), pads=[1, 1])
    return n.model(n.add("Conv", n.add("Sign", x), signs(rng, 10, 64, 1)))


def added() -> onnx.ModelProto:
    """Reals with two-valued weights, of numbers of taps that fill a word, half of one, or neither."""
    rng, n = np.random.default_rng(6), Net()
    x = n.add("Conv", n.input([1, 3, 6, 6]), 0.3 * signs(rng, 16, 3, 3, 3))
    x = n.add("Conv", n.add("Tanh", x), 0.2 * signs(rng, 5, 16, 2, 2))
    return n.model(n.add("Gemm", n.reshape(n.add("Sigmoid", x), 1, 45), 0.1 * signs(rng, 45, 7)))


MODELS: dict[str, tuple[Callable[[], onnx.ModelProto], tuple[int, ...], dict[str, Any]]] = {
    "cnn": (lambda: cnn(channels=(3, 32, 40), decide=True), (), {}),
    "two_bits": (two_bits, (), {}),
    "separable": (separable, (), {}),
    "frames_int16": (frames, (1, 28, 28), {"real": "int16"}),
    "frames_int8": (frames, (1, 28, 28), {"real": "int8"}),
    "added": (added, (), {"real": "float32"}),
    "added_int16": (added, (1, 3, 6, 6), {"real": "int16"}),
    "real_head_int16": (real_head, (1, 1, 12, 12), {"real": "int16"}),
}


def generated(name: str, target: str, optimize: str, folder: Path) -> Compiled:
    make, shape, options = MODELS[name]
    if shape:
        calibrate = folder / "calibrate.npz"
        np.savez(calibrate, input=np.random.default_rng(1).standard_normal((8, *shape)).astype(np.float32))
        options = {**options, "calibrate": calibrate}
    return compiled(make(), name="net", target=target, optimize=optimize, **options)


@pytest.mark.cross
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("target", TARGETS)
def test_no_warnings_at_any_level(target: str, name: str, tmp_path: Path) -> None:
    try:
        require_tools(load_target(target))
    except ToolchainMissing as error:
        pytest.skip(str(error))
    for optimize in ("size", "speed"):
        sources = write_files(generated(name, target, optimize, tmp_path).files, tmp_path / optimize)
        for level in LEVELS:
            builder = Builder.for_target(load_target(target), level, (), None)
            assert builder.compile(sources, tmp_path / f"{optimize}{level}", WARNINGS)
