"""Concat along every axis, with parts of size 1: found by the mutation fuzzer, wrong values without a diagnostic."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import bnn2c.backend as backend
from bnn2c.errors import CompileError

SHAPES = [
    ([[1, 8, 1], [1, 8, 3]], 2),
    ([[1, 8, 3], [1, 8, 1]], 2),
    ([[1, 8, 1], [1, 8, 1]], 2),
    ([[1, 1, 8], [1, 3, 8]], 1),
    ([[1, 8, 4, 1], [1, 8, 4, 2]], 3),
    ([[8, 1], [8, 3]], 1),
    ([[2, 1, 3, 1], [2, 1, 3, 5]], 3),
    ([[1, 4, 1, 1]] * 2, 1),
    ([[1, 1, 4, 4], [1, 3, 4, 4]], 1),
    ([[1, 1, 1], [1, 1, 1]], 2),
]


def joined(shapes: list[list[int]], axis: int, op: str) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info(f"i{k}", TensorProto.FLOAT, shape) for k, shape in enumerate(shapes)]
    nodes = [helper.make_node(op, [f"i{k}"], [f"n{k}"]) for k in range(len(shapes))]
    nodes.append(helper.make_node("Concat", [f"n{k}" for k in range(len(shapes))], ["y"], axis=axis))
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(shapes[0]))
    graph = helper.make_graph(nodes, "g", inputs, [output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("op", ["Neg", "Sign"])
@pytest.mark.parametrize(("shapes", "axis"), SHAPES)
def test_concat_equals_numpy(shapes: list[list[int]], axis: int, op: str) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    wanted = np.concatenate([np.negative(part) if op == "Neg" else np.sign(part) for part in parts], axis)
    np.testing.assert_array_equal(backend.run_model(joined(shapes, axis, op), parts, cc_optimize="-O0")[0], wanted)


def test_shapes_that_do_not_agree_are_refused() -> None:
    with pytest.raises(CompileError):
        backend.prepare(joined([[1, 2, 3], [1, 3, 3]], 2, "Neg")).run([np.zeros((1, 2, 3)), np.zeros((1, 3, 3))])
