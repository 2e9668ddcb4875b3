"""Nodes on constants: what is computed at compile time is what onnxruntime computes, in old versions too."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ValueInfoProto, helper

from bnn2c.importer.folding import FoldingRefused, fold

DRAWN = np.random.default_rng(0)
MEANS = [DRAWN.normal(size=4).astype(np.float32) for _ in range(3)]
ROWS = DRAWN.normal(size=(2, 4, 3)).astype(np.float32)
NORMALISED = [ROWS, *MEANS, np.float32([0.5, 1, 2, 3])]
CASES: list[tuple[str, list[np.ndarray], dict[str, Any], list[int]]] = [
    ("BatchNormalization", NORMALISED, {"momentum": 0.9, "epsilon": 1e-3}, [7, 9, 13, 14, 15, 22]),
    ("BatchNormalization", NORMALISED, {}, [8, 13]),
    *((op, [ROWS], given, [7, 11, 12, 13, 20])
      for op in ("Softmax", "LogSoftmax", "Hardmax") for given in ({}, {"axis": 1}, {"axis": 0}, {"axis": 2})),
    *(("LpNormalization", [ROWS], given, [11, 22]) for given in ({}, {"p": 1}, {"p": 1, "axis": 0})),
]  # fmt: skip


@pytest.mark.parametrize(("op", "operands", "attributes", "versions"), CASES)
def test_constants_are_computed_as_the_version_defines(
    op: str, operands: list[np.ndarray], attributes: dict[str, Any], versions: list[int]
) -> None:
    names = [f"x{k}" for k in range(len(operands))]
    node = helper.make_node(op, names, ["y"], **attributes)
    ports = [helper.make_tensor_value_info(n, 1, a.shape) for n, a in zip(names, operands, strict=True)]
    graph = helper.make_graph([node], "constant", ports, [ValueInfoProto(name="y")])
    for version in versions:
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        (want,) = session.run(None, dict(zip(names, operands, strict=True)))
        (found,) = fold(node, operands, version, 1000)
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6, err_msg=f"version {version}")


def test_what_the_evaluator_computes_wrong_is_refused() -> None:
    with pytest.raises(FoldingRefused, match="leaves a channel out"):
        fold(helper.make_node("LRN", ["x"], ["y"], size=3), [ROWS], 13, 1000)
