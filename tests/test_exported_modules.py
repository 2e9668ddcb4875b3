"""Forms that exporters of PyTorch modules write: found by networks of random modules, built here without PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from models import Array, Net, compiled, ort_session

from bnn2c.errors import CompileError
from bnn2c.ir.graph import outputs
from bnn2c.toolchain import build_shared


def agree(model: onnx.ModelProto, samples: Array, folder: Path) -> None:
    """onnxruntime = imported graph = C, bit for bit."""
    found, reference = compiled(model), ort_session(model)
    library = build_shared(found.files, found.manifest, folder)
    for x in samples:
        for made in (outputs(found.imported, [x]), library.run([x])):
            for one, wanted in zip(made, reference([x]), strict=True):
                np.testing.assert_array_equal(one, wanted)


def assign(n: Net, x: str, mask: str, value: object, simplified: bool = False) -> str:
    """`x[mask] = value` as the exporter writes it, and as simplifiers leave it."""
    places = n.add("Transpose", n.add("NonZero", mask), perm=[1, 0])
    count = n.add("ReduceSum", n.cast(n.reshape(mask, -1), 7), np.array([0]), keepdims=1)
    values = n.add("Expand", value, count)
    return n.add("ScatterND", x, places, values if simplified else n.reshape(values, -1))


@pytest.mark.parametrize("simplified", [False, True])
@pytest.mark.parametrize("copied", [False, True])
def test_one_number_assigned_under_a_mask(copied: bool, simplified: bool, tmp_path: Path) -> None:
    """`y = ones_like(x); y[x < 0] = -1`, then `y[x > 2] = 0.5` where the second mask covers whole channels."""
    n = Net(opset=18)
    x = n.input([1, 3, 4, 5])
    minus = n.add("Identity", n.const(-1.0)) if copied else n.const([-1.0])
    ones = n.add("Expand", n.const([[[[1.0]]]]), np.array([1, 3, 4, 5]))
    y = assign(n, ones, n.add("Less", x, 0.0), minus, simplified)
    channels = n.add("Greater", n.add("ReduceMax", x, np.array([2, 3]), keepdims=1), 2.0)
    where = n.add("Expand", channels, n.add("Shape", y))
    y = assign(n, y, where, np.array(0.5), simplified)
    inputs = (np.random.default_rng(3).integers(-8, 10, (4, 1, 3, 4, 5)) / 4).astype(np.float32)
    agree(n.model(n.add("Mul", y, 2.0), shape=[1, 3, 4, 5]), inputs, tmp_path)


@pytest.mark.parametrize("reduction", ["none", "add"])
def test_other_writes_under_a_mask_are_refused(reduction: str) -> None:
    """Values of unknown number; sums in place of the number."""
    n = Net(opset=18)
    x = n.input([1, 6])
    value = n.add("Relu", "v") if reduction == "none" else n.const(2.0)
    n.input(["k"], "v")
    y = assign(n, x, n.add("Less", x, 0.0), value)
    n.nodes[-1].attribute.add(name="reduction", type=3, s=reduction.encode())
    with pytest.raises(CompileError) as caught:
        compiled(n.model(y, shape=[1, 6]))
    assert "BNN008" in {problem.code for problem in caught.value.diagnostics}


def test_a_mask_of_another_size_is_refused() -> None:
    """It would be written to a part of the tensor only, whereas Where repeats a mask."""
    n = Net(opset=18)
    x = n.input([1, 3, 4])
    y = assign(n, x, n.add("Less", n.add("ReduceMax", x, np.array([2]), keepdims=1), 0.0), n.const(1.0), True)
    with pytest.raises(CompileError) as caught:
        compiled(n.model(y, shape=[1, 3, 4]))
    assert caught.value.diagnostics[0].op == "Reshape"


@pytest.mark.parametrize("opt", ["-O2", "-Os"])
def test_two_ternary_layers_build_without_a_warning(opt: str, tmp_path: Path) -> None:
    """The number of digits of their counters differs, so that the compiler knows it for neither."""
    n, rng = Net(), np.random.default_rng(1)
    x = n.add("Sign", n.add("Conv", n.input([1, 1, 6, 6]), rng.normal(size=(8, 1, 3, 3)).astype(np.float32)))
    for shape in ((16, 8, 3, 3), (4, 16, 1, 1)):
        x = n.add("Sign", n.add("Conv", x, rng.choice([-1, 0, 1], shape).astype(np.float32)))
    found = compiled(n.model(x), optimize="balanced")
    assert found.files["net.c"].count("static const bnn2c_sliced_planes ") == 2
    build_shared(found.files, found.manifest, tmp_path, opt=opt, cflags=["-Wall", "-Wextra", "-Werror"])


def test_the_logarithm_of_powers_of_integers(tmp_path: Path) -> None:
    """A sum of powers that are rounded towards zero themselves: it counts the largest elements."""
    n = Net()
    whole = n.cast(n.input([5, 8]), onnx.TensorProto.INT64)
    y = n.add("ReduceLogSumExp", whole, axes=[1], keepdims=0)
    rows = [[5] * 8, [3] + [2] * 7, [-5] * 8, [-5] + [-6] * 7, [-5] * 3 + [-6] * 5]
    agree(n.model(n.cast(y), shape=[5]), np.array([rows], np.float32), tmp_path)
