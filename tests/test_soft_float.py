"""Warning BNN024: how much float32 arithmetic a core without FPU has to do, and where."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from models import Net

from bnn2c.bench import bench_model
from bnn2c.errors import Diagnostic
from bnn2c.options import Options
from bnn2c.pipeline import Compiled, compile_model
from bnn2c.toolchain import ToolchainMissing

RNG = np.random.default_rng(3)


def real_first_layer(size: int) -> onnx.ModelProto:
    """A real 3x3 convolution whose results become bits at once, and a binary layer behind it."""
    net = Net()
    x = net.input((1, 3, size, size))
    x = net.add("Conv", x, RNG.standard_normal((8, 3, 3, 3)), kernel_shape=[3, 3], name="first")
    x = net.add("Where", net.add("GreaterOrEqual", x, 0.0), 1.0, -1.0)
    x = net.add("Flatten", x)
    return net.model(net.add("MatMul", x, np.sign(RNG.standard_normal((8 * (size - 2) ** 2, 4)))))


def signs_and_curves() -> onnx.ModelProto:
    """Additions for two-valued weights, an elementwise function of every pixel, and a mean."""
    net = Net()
    x = net.input((1, 8, 10, 10))
    x = net.add("Conv", x, np.sign(RNG.standard_normal((16, 8, 3, 3))), kernel_shape=[3, 3])
    x = net.add("GlobalAveragePool", net.add("Tanh", x))
    return net.model(net.add("Sigmoid", x))


def told(compiled: Compiled) -> Diagnostic:
    (found,) = [one for one in compiled.report_data["warnings"] if one.code == "BNN024"]
    return found


def predicted(compiled: Compiled) -> int:
    return int(told(compiled).why.split()[1].replace(",", ""))


def compiled_for(model: onnx.ModelProto, target: str) -> Compiled:
    return compile_model(model, Options(target=target, name="net"))


@pytest.mark.parametrize("size", [6, 12])
def test_a_real_layer_counts_although_bits_leave_it(size: int) -> None:
    """Each of its pixels: 27 products for 8 channels."""
    found = compiled_for(real_first_layer(size), "cortex-m0")
    assert told(found).node == "first"
    assert predicted(found) > 150 * (size - 2) ** 2 * 8 * 27


def test_nothing_is_told_with_an_fpu_or_without_float() -> None:
    net = Net()
    x = net.add("Where", net.add("GreaterOrEqual", net.input((1, 64)), 0.0), 1.0, -1.0)
    scores = net.add("MatMul", x, np.sign(RNG.standard_normal((64, 4))))
    binary = net.model(net.add("ArgMax", scores, axis=1), shape=[1, 1], element=onnx.TensorProto.INT64)
    for model, target in ((real_first_layer(6), "cortex-m4"), (binary, "cortex-m0")):
        codes = [one.code for one in compiled_for(model, target).report_data["warnings"]]
        assert "BNN024" not in codes


@pytest.mark.cross
@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m3", "rv32imc"])
@pytest.mark.parametrize("model", [real_first_layer(12), signs_and_curves()], ids=["products", "signs and curves"])
def test_the_prediction_is_right_within_a_third(model: onnx.ModelProto, target: str) -> None:
    """Float32 is most of what these networks do."""
    found = compiled_for(model, target)
    try:
        counted = bench_model(found)["instructions"]
    except ToolchainMissing as missing:
        pytest.skip(str(missing))
    assert predicted(found) == pytest.approx(counted, rel=1 / 3)
