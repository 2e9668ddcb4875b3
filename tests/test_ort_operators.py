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
from bnn2c.importer import load_model
from bnn2c.options import Options
from bnn2c.toolchain import build_shared
from bnn2c.verify.reference import Reference


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


@pytest.mark.parametrize("opset", [9, 17])
def test_a_transposed_constant_factor_of_fewer_axes(opset: int, tmp_path: Path) -> None:
    """Below opset 12 too, and in a form that onnxruntime, the reference of `verify`, takes."""
    n, weights = Net(opset=opset), np.sign(np.random.default_rng(1).normal(size=(6, 8))).astype(np.float32)
    x = n.add("Sign", n.input([2, 5, 8]))
    model = n.model(n.add("FusedMatMul", x, weights, domain="com.microsoft", transB=1, alpha=0.5), shape=[2, 5, 8])
    agrees(model, model, [2, 5, 8], tmp_path)
    onnx.save(model, tmp_path / "model.onnx")
    feed = np.random.default_rng(0).normal(size=(2, 5, 8)).astype(np.float32)
    expected = ort_session(model)([feed])[0]
    (seen,) = Reference(load_model(tmp_path / "model.onnx", Options())).run([feed])
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("equation", ["...ij,...kj->...ik", "...ij,...kj"])
def test_einsum_with_an_ellipsis(equation: str, tmp_path: Path) -> None:
    n = Net()
    x = n.add("Sign", n.add("Add", n.input([2, 3, 4]), 0.125))
    other = n.add("Sign", n.add("Sub", "x", 0.5))
    model = n.model(n.add("Einsum", x, other, equation=equation))
    agrees(model, model, [2, 3, 4], tmp_path)


def close(model: onnx.ModelProto, folder: Path) -> None:
    """The C gives what onnxruntime gives, up to the rounding of float32."""
    found, run = compiled(model), ort_session(model)
    library = build_shared(found.files, found.manifest, folder)
    for seed in range(4):
        x = np.random.default_rng(seed).normal(size=found.manifest["inputs"][0]["shape"]).astype(np.float32)
        np.testing.assert_allclose(library.run([x])[0], run([x])[0], rtol=1e-5, atol=1e-6)


FUSED = {
    "Gelu": (1, {}),
    "BiasGelu": (2, {}),
    "FastGelu": (2, {}),
    "QuickGelu": (1, {"alpha": 1.0}),
    "SkipLayerNormalization": (4, {"epsilon": 1e-5}),
}


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("op", FUSED)
def test_fused_activations_and_norms(op: str, opset: int, tmp_path: Path) -> None:
    count, attrs = FUSED[op]
    n, rng = Net(opset=opset), np.random.default_rng(5)
    x = n.input([1, 3, 8])
    vectors = [rng.normal(size=8).astype(np.float32) for _ in range(count - 1)]
    given = [n.add("Neg", x), *vectors[1:]] if op.startswith("Skip") else vectors
    close(n.model(n.add(op, x, *given, domain="com.microsoft", **attrs), shape=[1, 3, 8]), tmp_path)


def test_the_sum_in_front_of_a_fused_norm(tmp_path: Path) -> None:
    """The fourth output, and the bias that belongs to the sum; a norm without a shift."""
    n = Net(opset=17)
    x, ones = n.input([1, 3, 8]), np.linspace(-1, 1, 8, dtype=np.float32)
    out = n.add("SkipLayerNormalization", x, n.add("Abs", x), ones, "", ones, domain="com.microsoft", count=4)
    del n.nodes[-1].output[1:3]
    n.nodes[-1].output[1:] = ["", "", "sum"]
    close(n.model(n.add("Mul", out, "sum"), shape=[1, 3, 8]), tmp_path)


def test_statistics_of_a_fused_norm_are_refused() -> None:
    n = Net(opset=17)
    x = n.input([1, 3, 8])
    n.add("SkipLayerNormalization", x, x, np.ones(8), domain="com.microsoft", count=2)
    with pytest.raises(CompileError) as caught:
        compiled(n.model("v0", shape=[1, 3, 8]))
    assert caught.value.diagnostics[0].code == "BNN006"
