"""Gather and Einsum: constant and computed places, products of many tensors; against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from models import Net, compiled, ort_run
from onnx import TensorProto, helper, numpy_helper

from bnn2c.errors import CompileError
from bnn2c.options import Options
from bnn2c.pipeline import compile_model

REAL = "real"
TABLE = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
Operand = tuple[list[int], Any] | np.ndarray
"""A shape with REAL or the range of its integers, or a constant."""


def model(op: str, operands: list[Operand], attributes: dict[str, Any], opset: int = 18) -> onnx.ModelProto:
    """One operator; the first operand, if it is real, is computed: an input alone would be a view of the caller's."""
    names = [f"x{k}" for k in range(len(operands))]
    given = [(n, o) for n, o in zip(names, operands, strict=True) if isinstance(o, tuple)]
    ports = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT if kind == REAL else TensorProto.INT64, shape)
        for n, (shape, kind) in given
    ]
    data = [numpy_helper.from_array(o, n) for n, o in zip(names, operands, strict=True) if isinstance(o, np.ndarray)]
    nodes = [
        helper.make_node("Add", [names[0], names[0]], ["first"]),
        helper.make_node(op, ["first", *names[1:]], ["y"], **attributes),
    ]
    output = helper.make_tensor_value_info("y", TensorProto.BOOL if op == "IsInf" else TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "places", ports, [output], data)
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(found)


def check(found: onnx.ModelProto, operands: list[Operand]) -> None:
    session = onnxruntime.InferenceSession(found.SerializeToString())
    compiled, rng = compile_model(found, Options(name="net")), np.random.default_rng(1)
    given = [(f"x{k}", *o) for k, o in enumerate(operands) if isinstance(o, tuple)]
    for _ in range(5):
        feeds = {
            name: rng.normal(size=shape).astype(np.float32) if kind == REAL else rng.integers(*kind, size=shape)
            for name, shape, kind in given
        }
        (want,), (got,) = session.run(None, feeds), compiled.reference(list(feeds.values()))
        np.testing.assert_allclose(np.reshape(got, want.shape), want, rtol=0, atol=1e-5)


ANY, FIRST = (-5, 5), (0, 5)
PLACES: dict[str, tuple[str, list[Operand], dict[str, Any]]] = {
    "rows": ("Gather", [([5, 4], REAL), ([3], ANY)], {}),
    "columns": ("Gather", [([2, 5, 4], REAL), ([3, 2], ANY)], {"axis": 1}),
    "one": ("Gather", [([2, 5, 4], REAL), ([], FIRST)], {"axis": 1}),
    "a few numbers": ("Gather", [TABLE[:, 0], ([2, 3], (-4, 4))], {}),
    "columns of a table": ("Gather", [TABLE, ([3], FIRST)], {"axis": 1}),
    "elements": ("GatherElements", [([2, 5, 4], REAL), ([2, 3, 4], ANY)], {"axis": 1}),
    "some elements": ("GatherElements", [([3, 5, 4], REAL), ([2, 3, 2], ANY)], {"axis": -2}),
    "known elements": ("GatherElements", [([3, 5], REAL), np.array([[0, -1], [2, 2]])], {"axis": 1}),
    "gather ND": ("GatherND", [([5, 4], REAL), ([3, 1], FIRST)], {}),
    "infinite": ("IsInf", [([5], REAL)], {}),
}  # fmt: skip
EQUATIONS = {
    "bij,bik,bk->bj": [[2, 3, 4], [2, 3, 5], [2, 5]],
    "bij,jk,bi->bik": [[2, 3, 4], [4, 6], [2, 3]],
    "bij,ik->bk": [[2, 3, 4], [3, 5]],
    "i,j->ji": [[3], [4]],
    "bij,bi->bij": [[2, 3, 4], [2, 3]],
    "...i,ij,j->...": [[2, 3, 4], [4, 5], [5]],
    "i,i,i->": [[3], [3], [3]],
}


@pytest.mark.parametrize("name", PLACES)
def test_places(name: str) -> None:
    op, operands, attributes = PLACES[name]
    check(model(op, operands, attributes), operands)


def test_a_comparison_that_chooses_between_two_numbers_binarises() -> None:
    """Both layers are binary, and nothing is looked up."""
    n, rng = Net(), np.random.default_rng(2)
    x = n.input([1, 3, 6, 6])
    for channels, kind in ((3, TensorProto.INT64), (8, TensorProto.INT32)):
        side = n.add("Gather", np.array([-1.0, 1.0]), n.cast(n.add("GreaterOrEqual", x, 0.25), kind))
        x = n.add("Conv", side, rng.choice([-1.0, 1.0], (8, channels, 3, 3)))
    found = compiled(n.model(x))
    kinds = [node.op.kind for node in found.final.nodes]
    assert kinds.count("binary_conv2d") == 2 and not {"embedding", "conv2d", "sign_conv2d"} & set(kinds)
    sample = rng.integers(-4, 5, (1, 3, 6, 6)).astype(np.float32) / 8
    np.testing.assert_array_equal(found.reference([sample])[0], ort_run(n.model(x), [sample])[0])


@pytest.mark.parametrize("equation", EQUATIONS)
def test_products_of_many(equation: str) -> None:
    operands: list[Operand] = [(shape, REAL) for shape in EQUATIONS[equation]]
    check(model("Einsum", operands, {"equation": equation}), operands)


@pytest.mark.parametrize("sign", ["negative", "positive"])
def test_one_infinity(sign: str) -> None:
    compiled = compile_model(model("IsInf", [([4], REAL)], {f"detect_{sign}": 0}), Options(name="net"))
    x = np.array([1, np.inf, -np.inf, np.nan], np.float32)
    assert compiled.reference([x])[0].ravel().tolist() == [False, sign == "negative", sign == "positive", False]


def test_too_many_computed_places_are_refused() -> None:
    operands: list[Operand] = [([90, 90], REAL), ([9], FIRST)]
    with pytest.raises(CompileError, match="computed places"):
        compile_model(model("Gather", operands, {}), Options(name="net"))
