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


def assign(n: Net, x: str, mask: str, value: object) -> str:
    """`x[mask] = value` as the exporter writes it."""
    places = n.add("Transpose", n.add("NonZero", mask), perm=[1, 0])
    count = n.add("ReduceSum", n.cast(n.reshape(mask, -1), 7), np.array([0]), keepdims=1)
    return n.add("ScatterND", x, places, n.reshape(n.add("Expand", value, count), -1))


@pytest.mark.parametrize("copied", [False, True])
def test_one_number_assigned_under_a_mask(copied: bool, tmp_path: Path) -> None:
    """`y = ones_like(x); y[x < 0] = -1`, then `y[x > 2] = 0.5` where the second mask covers whole channels."""
    n = Net(opset=18)
    x = n.input([1, 3, 4, 5])
    minus = n.add("Identity", n.const(-1.0)) if copied else n.const([-1.0])
    y = assign(n, n.add("Expand", n.const([[[[1.0]]]]), np.array([1, 3, 4, 5])), n.add("Less", x, 0.0), minus)
    channels = n.add("Greater", n.add("ReduceMax", x, np.array([2, 3]), keepdims=1), 2.0)
    where = n.add("Expand", channels, n.add("Shape", y))
    y = assign(n, y, where, np.array(0.5))
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
