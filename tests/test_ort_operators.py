"""What onnxruntime's graph optimiser writes: products with transposed factors and a scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from models import Net, compiled, ort_session

from bnn2c.errors import CompileError
from bnn2c.toolchain import build_shared


def optimised(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The model as onnxruntime saves it after its extended optimisations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(path)


def agrees(model: onnx.ModelProto, reference: onnx.ModelProto, shape: list[int], folder: Path) -> None:
    found, run = compiled(model), ort_session(reference)
    library = build_shared(found.files, found.manifest, folder)
    for seed in range(4):
        x = (np.random.default_rng(seed).integers(-8, 9, shape) / 4).astype(np.float32)
        np.testing.assert_array_equal(library.run([x])[0].ravel(), run([x])[0].ravel())


@pytest.mark.parametrize("shape", [[5, 8], [2, 5, 8], [1, 2, 5, 8]])
def test_products_with_a_transposed_factor_and_a_scale(shape: list[int], tmp_path: Path) -> None:
    n = Net()
    x = n.input(shape)
    query, key = (n.add("Sign", n.add("Add", x, offset)) for offset in (0.125, -0.5))
    turned = n.add("Transpose", key, perm=[*range(len(shape) - 2), len(shape) - 1, len(shape) - 2])
    model = n.model(n.add("Mul", n.add("MatMul", query, turned), 0.25))
    fused = optimised(model, tmp_path / "fused.onnx")
    (node,) = [node for node in fused.graph.node if node.op_type == "FusedMatMul"]
    assert {"transB", "alpha"} <= {item.name for item in node.attribute}
    agrees(fused, model, shape, tmp_path)


@pytest.mark.parametrize("attrs", [{"transBatchA": 1}, {"transA": 1, "opset": 11}])
def test_products_that_are_refused(attrs: dict[str, Any]) -> None:
    n = Net(opset=attrs.pop("opset", 17))
    x = n.add("Neg", n.input([2, 4, 4]))
    y = n.add("FusedMatMul", x, x, domain="com.microsoft", **attrs)
    with pytest.raises(CompileError) as caught:
        compiled(n.model(y, shape=[2, 4, 4]))
    assert caught.value.diagnostics[0].code == "BNN006"


@pytest.mark.parametrize("equation", ["...ij,...kj->...ik", "...ij,...kj"])
def test_einsum_with_an_ellipsis(equation: str, tmp_path: Path) -> None:
    n = Net()
    x = n.add("Sign", n.add("Add", n.input([2, 3, 4]), 0.125))
    other = n.add("Sign", n.add("Sub", "x", 0.5))
    model = n.model(n.add("Einsum", x, other, equation=equation))
    agrees(model, model, [2, 3, 4], tmp_path)
