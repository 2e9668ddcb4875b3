"""Writes at given places: ScatterElements, ScatterND, TensorScatter, with constant and computed places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.reference
import pytest
from models import ort_session
from onnx import TensorProto, helper, numpy_helper
from strict import UNDEFINED

from bnn2c.errors import CompileError
from bnn2c.options import Options
from bnn2c.pipeline import compile_model
from bnn2c.toolchain import build_shared

Array = np.ndarray


def network(
    op: str, data: Array, places: Array, updates: Array, constant: str = "", opset: int = 18, **attributes: object
) -> onnx.ModelProto:
    """One operator on the inputs d, i and u, but for those that `constant` names."""
    given = {"d": data, "i": places, "u": updates}
    node = helper.make_node(op, ["d", "u", "i"] if op == "TensorScatter" else ["d", "i", "u"], ["y"], **attributes)
    kinds = {name: helper.np_dtype_to_tensor_dtype(x.dtype) for name, x in given.items()}
    inputs = [helper.make_tensor_value_info(n, kinds[n], x.shape) for n, x in given.items() if n not in constant]
    stored = [numpy_helper.from_array(x, n) for n, x in given.items() if n in constant]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, data.shape)]
    graph = helper.make_graph([node], "scatter", inputs, outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def same_in_c(model: onnx.ModelProto, folder: Path, feeds: list[Array], wanted: Array) -> None:
    """The C gives exactly what is wanted."""
    compiled = compile_model(model, Options(name="net"))
    library = build_shared(compiled.files, compiled.manifest, folder, cflags=UNDEFINED)
    given = [x.astype(np.int32) if x.dtype == np.int64 else x for x in feeds]
    np.testing.assert_array_equal(compiled.reference(given)[0], wanted)
    np.testing.assert_array_equal(library.run(given)[0], wanted)


RNG = np.random.default_rng(11)
DATA = RNG.normal(size=(1, 5, 6)).astype(np.float32)


@pytest.mark.parametrize("constant", ["i", "di", "iu", "", "d", "u"])
@pytest.mark.parametrize(
    ("op", "places", "updates", "attributes"),
    [
        ("ScatterElements", RNG.permutation(6)[:3][None, None] + np.zeros((1, 5, 1), int) - 6, (1, 5, 3), {"axis": 2}),
        ("ScatterElements", np.array([[[4] * 6, [-5] * 6]]), (1, 2, 6), {"axis": 1, "reduction": "add"}),
        ("ScatterND", np.array([[0, 3], [0, -1]]), (2, 6), {}),
        ("ScatterND", np.array([[[0, 1, 5], [0, -2, 0]]]), (1, 2), {"reduction": "max"}),
    ],
)  # fmt: skip
def test_c_is_onnxruntime(
    op: str, places: Array, updates: tuple[int, ...], attributes: dict[str, object], constant: str, tmp_path: Path
) -> None:
    given = {"d": DATA, "i": places.astype(np.int64), "u": RNG.normal(size=updates).astype(np.float32)}
    model = network(op, *given.values(), constant=constant, **attributes)
    feeds = [x for name, x in given.items() if name not in constant]
    same_in_c(model, tmp_path, feeds, ort_session(model)(feeds)[0])


@pytest.mark.parametrize("mode", ["linear", "circular"])
def test_a_ring_of_rows(mode: str, tmp_path: Path) -> None:
    """Three rows from row 4 of six on; of a ring the last one is row 0."""
    cache, rows = RNG.normal(size=(1, 2, 6, 3)).astype(np.float32), RNG.normal(size=(1, 2, 3, 3)).astype(np.float32)
    first = np.array([4 if mode == "circular" else 3])
    model = network("TensorScatter", cache, first, rows, opset=24, mode=mode)
    wanted = onnx.reference.ReferenceEvaluator(model).run(None, {"d": cache, "i": first, "u": rows})[0]
    same_in_c(model, tmp_path, [cache, first, rows], wanted)


def test_a_row_of_a_cache_is_written_in_place() -> None:
    """As torch exports `cache[0, place] = row`; with --state no second cache is needed."""
    model = network("ScatterND", DATA, np.array([[0, 2]]), np.ones((1, 6), np.float32))
    model.graph.node.append(helper.make_node("ReduceMax", ["y"], ["best"], keepdims=0))
    model.graph.output.append(helper.make_tensor_value_info("best", TensorProto.FLOAT, []))
    compiled = compile_model(model, Options(name="net", states=(("d", "y"),)))
    assert 'the next "d"' not in compiled.files["net.c"]


def test_many_computed_places_are_refused() -> None:
    places = np.zeros((40, 1), np.int64)
    with pytest.raises(CompileError, match="more than 32 computed places") as caught:
        compile_model(network("ScatterND", DATA, places, np.ones((40, 5, 6), np.float32)), Options(name="net"))
    assert caught.value.diagnostics[0].code == "BNN008"
    with pytest.raises(CompileError, match="a part of the other axes"):
        few = network("ScatterElements", DATA, np.zeros((1, 2, 1), np.int64), np.ones((1, 2, 1), np.float32), axis=2)
        compile_model(few, Options(name="net"))
