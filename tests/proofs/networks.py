"""Small networks for the proofs: what operations alone do not reach, that is loops, streams and fixed point."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from models import Array, Net

from bnn2c.options import Options
from bnn2c.pipeline import Compiled, compile_model

Form = tuple[onnx.ModelProto, dict[str, Any]]


def _signs(n: Net, *shape: int) -> Array:
    return np.random.default_rng(len(n.nodes)).choice([-1, 1], shape).astype(np.float32)


def _normal(n: Net, *shape: int) -> Array:
    return np.random.default_rng(len(n.nodes)).standard_normal(shape).astype(np.float32)


def _binary(n: Net, x: str, threshold: float) -> str:
    return n.add("Where", n.add("Greater", x, threshold), 1.0, -1.0)


def loop() -> Form:
    """A recurrent cell over four steps, in both of its inputs binary."""
    n = Net()
    x, state = n.input([1, 4, 6]), n.const(np.zeros((1, 8), np.float32))
    frames = [n.add("Gather", x, np.array(t), axis=1) for t in range(4)]
    inward, onward = _signs(n, 6, 8), _signs(n, 8, 8)
    for frame in frames:
        sums = n.add("Add", n.add("MatMul", _binary(n, frame, 0.25), inward), n.add("MatMul", state, onward))
        state = _binary(n, sums, 0.5)
    return n.model(n.add("MatMul", state, _signs(n, 8, 3))), {}


def stream() -> Form:
    """Convolutions, a pool with a stride and a mean, frame by frame."""
    n = Net()
    x = n.add("Conv", _binary(n, n.input([1, 3, 9]), 0.25), _signs(n, 5, 3, 3))
    x = n.add("MaxPool", x, kernel_shape=[2], strides=[2])
    x = n.add("Conv", _binary(n, x, 0.5), _signs(n, 4, 5, 2))
    return n.model(n.add("ReduceMean", x, axes=[2], keepdims=0)), {"stream": 2}


def causal() -> Form:
    """Zeros in front of the stream: other thresholds in the first frames."""
    n = Net()
    x = n.add("Conv", _binary(n, n.input([1, 3, 8]), 0.25), _signs(n, 5, 3, 3), pads=[2, 0])
    return n.model(n.add("Conv", _binary(n, x, 0.5), _signs(n, 4, 5, 2), pads=[1, 0])), {"stream": 2}


def flushed() -> Form:
    """Zeros on both sides: other thresholds in the first and last frames, and the flush."""
    n = Net()
    x = n.add("Conv", _binary(n, n.input([1, 3, 7]), 0.25), _signs(n, 5, 3, 3), pads=[1, 1])
    return n.model(n.add("Conv", _binary(n, x, 0.5), _signs(n, 4, 5, 3), pads=[1, 1])), {"stream": 2}


def planes() -> Form:
    """Two frames of six frequencies a step: rings of bit planes, thresholds of the first and last frames."""
    n = Net()
    x = n.add("Conv", _binary(n, n.input([1, 1, 4, 6]), 0.25), _signs(n, 8, 1, 3, 3), pads=[1, 1, 1, 1])
    x = n.add("Conv", _binary(n, x, 0.5), _signs(n, 4, 8, 3, 3), pads=[1, 1, 1, 1])
    return n.model(_binary(n, x, 0.5)), {"stream": 2, "stream_frames": 2, "optimize": "speed"}


def diagonals() -> Form:
    """Bits of a convolution of 40 channels and sums of a dense layer, with the layout of weights for Thumb-2."""
    n = Net()
    x = n.add("Conv", _binary(n, n.input([1, 40, 3, 3]), 0.25), _signs(n, 33, 40, 2, 2))
    x = _binary(n, n.reshape(x, 1, 132), 0.5)
    return n.model(n.add("MatMul", x, _signs(n, 132, 33))), {"target": "cortex-m4"}


def fixed_point() -> Form:
    """Pixels through convolution, PReLU, pool, product, mean and dense layer in 16-bit integers."""
    n = Net()
    x = n.add("Conv", n.input([1, 3, 5, 5]), _normal(n, 4, 3, 3, 3), _normal(n, 4), pads=[1, 1, 1, 1])
    x = n.add("AveragePool", n.add("PRelu", x, np.full((4, 1, 1), 0.25)), kernel_shape=[2, 2], strides=[2, 2])
    rows = n.reshape(x, 4, 4)
    product = n.add("MatMul", rows, n.add("Transpose", rows, perm=[1, 0]))
    mean = n.add("ReduceMean", n.add("Add", product, rows), axes=[1], keepdims=0)
    return n.model(n.add("MatMul", n.reshape(mean, 1, 4), _normal(n, 4, 3))), {"real": "int16", "input_scale": 1 / 255}


NETWORKS: dict[str, Callable[[], Form]] = {
    f.__name__: f for f in (loop, stream, causal, flushed, planes, diagonals, fixed_point)
}


def generate(name: str) -> Compiled:
    """Compile a network; fixed point is calibrated on random pixels."""
    model, options = NETWORKS[name]()
    with tempfile.TemporaryDirectory() as folder:
        if "real" in options:
            options["calibrate"] = Path(folder) / "pixels.npz"
            np.savez(options["calibrate"], input=np.random.default_rng(0).integers(0, 256, (16, 3, 5, 5), np.uint8))
        return compile_model(model, Options(name="net", **options))
