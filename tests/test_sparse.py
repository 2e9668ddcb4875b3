"""Sparse constants: initializers and Constant nodes, also in branches, and those that make no sense."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from models import Array, Net, compiled, ort_session
from onnx import helper, numpy_helper

from bnn2c.errors import CompileError
from bnn2c.importer import load_model
from bnn2c.toolchain import build_shared
from bnn2c.verify.reference import Reference

SHAPE = [4, 8]
WEIGHTS = np.random.default_rng(1).choice(np.float32([-1, 0, 1]), SHAPE)


def sparse(weights: Array, flat: bool, name: str = "w") -> onnx.SparseTensorProto:
    where = np.flatnonzero(weights) if flat else np.argwhere(weights)
    values = numpy_helper.from_array(weights.ravel()[np.flatnonzero(weights)], name)
    positions = numpy_helper.from_array(where.astype(np.int64), f"{name}_positions")
    return helper.make_sparse_tensor(values, positions, weights.shape)


def network(kind: str, flat: bool) -> onnx.ModelProto:
    """sign(x + 1/2) times sparse weights that are an initializer, a Constant, or a Constant in a branch."""
    n = Net()
    x = n.add("Sign", n.add("Add", n.input([1, 4]), 0.5))
    tensor = sparse(WEIGHTS, flat)
    if kind == "initializer":
        model = n.model(n.add("MatMul", x, "w"), shape=[1, 8])
        model.graph.sparse_initializer.append(tensor)
        return model
    body = [helper.make_node("Constant", [], ["w"], sparse_value=tensor), helper.make_node("MatMul", [x, "w"], ["y"])]
    if kind == "branch":
        (one,) = ends = [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 8])]
        branch = helper.make_graph(body, "branch", [], ends)
        condition = n.const(np.array(True))
        body = [helper.make_node("If", [condition], [one.name], then_branch=branch, else_branch=branch)]
    n.nodes += body
    return n.model("y", shape=[1, 8])


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("kind", ["initializer", "constant", "branch"])
def test_sparse_weights(kind: str, flat: bool, tmp_path: Path) -> None:
    model = network(kind, flat)
    found = compiled(model)
    library, reference = build_shared(found.files, found.manifest, tmp_path), ort_session(model)
    for seed in range(4):
        x = np.random.default_rng(seed).standard_normal([1, 4]).astype(np.float32)
        np.testing.assert_array_equal(library.run([x])[0], reference([x])[0])


def test_types_that_shape_inference_stated() -> None:
    """Behind an Identity it says that the tensor is sparse, which it is no longer."""
    model = network("initializer", flat=True)
    model.graph.node[-1].input[1] = "same"
    model.graph.node.insert(0, helper.make_node("Identity", ["w"], ["same"]))
    stated = model.graph.value_info.add(name="same")
    stated.type.sparse_tensor_type.elem_type = onnx.TensorProto.FLOAT
    assert Reference(load_model(model)).run([np.ones((1, 4), np.float32)])[0].shape == (1, 8)


@pytest.mark.parametrize(
    ("dims", "positions", "code"),
    [
        ([4, 8], [0, 32], "BNN003"),
        ([4, 8], [-1, 2], "BNN003"),
        ([4, 8], [1, 2, 3], "BNN003"),
        ([4, -8], [1, 2], "BNN003"),
        ([1 << 20, 1 << 20], [1, 2], "BNN009"),
    ],
)
def test_positions_and_sizes_that_make_no_sense(dims: list[int], positions: list[int], code: str) -> None:
    model = network("initializer", flat=True)
    (tensor,) = model.graph.sparse_initializer
    tensor.dims[:] = dims
    tensor.values.CopyFrom(numpy_helper.from_array(np.float32([1, 1]), "w"))
    tensor.indices.CopyFrom(numpy_helper.from_array(np.array(positions), "p"))
    with pytest.raises(CompileError) as caught:
        compiled(model)
    assert caught.value.diagnostics[0].code == code and "tensor w" in str(caught.value)
