"""The oracle chain: what counts as equal, as rounding and as mismatch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from models import Net, compiled
from onnx import TensorProto, helper, numpy_helper
from test_passes import finished, graph_with

from bnn2c.api import options_for
from bnn2c.errors import CompileError
from bnn2c.expr import Arg, apply, const
from bnn2c.importer import load_model
from bnn2c.ir import TensorType
from bnn2c.ir.graph import outputs
from bnn2c.ops.convert_layout import ConvertLayout
from bnn2c.ops.level_values import LevelValues
from bnn2c.ops.map import Map
from bnn2c.ops.quantize import Quantize
from bnn2c.pipeline import Compiled, compile_model
from bnn2c.toolchain import ObjectSizes, TargetRun, ToolchainMissing
from bnn2c.verify import verify_model
from bnn2c.verify.bounded import UNIT, Bounded, summation
from bnn2c.verify.compare import Target, Tolerance, tolerances
from bnn2c.verify.decisions import Flips
from bnn2c.verify.evaluate import evaluate, results
from bnn2c.verify.expressions import evaluate_bounded
from bnn2c.verify.reference import Reference
from bnn2c.verify.search import search
from bnn2c.verify.vectors import Vectors
from bnn2c.verify.visible import decision_site, visible

ort = pytest.importorskip("onnxruntime")

Array = np.ndarray[Any, Any]
Change = Callable[[int, list[Array]], list[Array]]
Tensors = dict[str, Array]


def model_of(
    nodes: Sequence[onnx.NodeProto], constants: Tensors, shape: list[int], outs: list[str], **kw: Any
) -> bytes:
    """A checked model with the float input x [1, *shape]."""
    kind = kw.get("kind", TensorProto.FLOAT)
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", kind, [1, *shape])],
        [helper.make_tensor_value_info(o, kw.get("out", TensorProto.FLOAT), None) for o in outs],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model).SerializeToString()


def two_layers(first: Array, second: Array, classes: bool = False) -> bytes:
    """`y = sign(x @ first) @ second`, or the index of the largest y."""
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"]),
        helper.make_node("Sign", ["a"], ["s"]),
        helper.make_node("MatMul", ["s", "w2"], ["y"]),
    ]
    constants = {"w1": first.astype(np.float32), "w2": second.astype(np.float32)}
    if classes:
        nodes.append(helper.make_node("ArgMax", ["y"], ["class"], axis=1, keepdims=0))
        return model_of(nodes, constants, [len(first)], ["class"], out=TensorProto.INT64)
    return model_of(nodes, constants, [len(first)], ["y"])


class Bench:
    """Compiles a model and verifies it with a made-up runner: the final graph in numpy, changed by the test."""

    def __init__(self, folder: Path, data: bytes, **options: Any) -> None:
        self.path = folder / "m.onnx"
        self.path.write_bytes(data)
        self.compiled = compile_model(self.path, options_for("host", **options))

    def verify(self, change: Change = lambda i, y: y, samples: int = 12, **vectors: Any) -> dict[str, Any]:
        file = None
        if vectors:
            file = self.path.with_suffix(".npz")
            np.savez(file, **vectors)

        def run(compiled: Compiled, target: str, given: Vectors) -> tuple[TargetRun, ObjectSizes]:
            count, found = len(self.compiled.final.outputs), []
            for i, x in enumerate(given.inputs):
                own = [np.array(y) for y in compiled.reference(x)]
                found.append([*change(i, own[:count]), *own[count:]])
            return TargetRun(found, 7, [], True, 64, True), ObjectSizes(100, 20, 0, ())

        data = verify_model(self.compiled, self.path, ["host"], file, samples, None, run)
        json.dumps(data)
        assert data["schema"] == 1
        return data["results"][0]


@pytest.fixture
def signs(tmp_path: Path) -> Bench:
    """Two-valued weights of even length: sign(0) really occurs for integer inputs."""
    rng = np.random.default_rng(3)
    return Bench(tmp_path, two_layers(rng.choice([-1, 1], (8, 16)), rng.choice([-1, 1], (16, 4))))


def test_equal_outputs(signs: Bench) -> None:
    found = signs.verify()
    assert (found["samples"], found["mismatches"], found["rounding"]) == (12, 0, 0)
    assert found["first_difference"] is None and found["max_abs_error"] < 1e-5
    assert (found["flash_bytes"], found["stack_bytes"], found["instructions"]) == (120, 64, 7)
    assert {"name", "op", "instructions", "binary_macs", "real_macs"} <= set(found["layers"][0])


def test_wrong_c_is_a_mismatch(signs: Bench) -> None:
    found = signs.verify(lambda i, y: [y[0] + (i == 5) * 0.01])
    assert (found["mismatches"], found["rounding"]) == (1, 0)
    assert found["first_difference"]["sample"] == 5
    assert (found["first_difference"]["stage"], found["first_difference"]["tensor"]) == ("c", "y")
    assert found["max_abs_error"] == pytest.approx(0.01, rel=0.01)


def test_not_a_number_is_a_mismatch(signs: Bench) -> None:
    found = signs.verify(lambda i, y: [y[0] * np.nan])
    assert found["mismatches"] == 12 and np.isfinite(found["max_abs_error"])


def test_the_wrong_sign_of_an_exact_zero_is_a_mismatch(tmp_path: Path) -> None:
    """dot = 0 is exact in every execution, so a C that says sign(0) = +1 is wrong, not rounded."""
    first, second = np.array([[1], [-1]]), np.array([[1]])
    bench = Bench(tmp_path, two_layers(first, second))
    inputs = np.ones((1, 2), np.float32)
    assert bench.verify(input=inputs)["mismatches"] == 0
    found = bench.verify(lambda i, y: [y[0] + 1], input=inputs)
    assert (found["mismatches"], found["rounding"]) == (1, 0)


TIE = np.array([[0.1], [0.2], [-0.3]])  # the float32 sum is 0 or not, depending on the order


def test_a_tie_that_the_reference_rounds(tmp_path: Path) -> None:
    bench = Bench(tmp_path, two_layers(TIE, np.array([[2.0]])))
    inputs = np.array([[1, 1, 1], [1, 1, 2]], np.float32)
    session = ort.InferenceSession(str(bench.path))
    reference = [session.run(None, {"x": x[None]})[0] for x in inputs]
    exact = [bench.compiled.reference([x])[0] for x in inputs]
    assert reference[0].item() != exact[0].item(), "the example must be one"
    found = bench.verify(input=inputs)
    assert (found["mismatches"], found["rounding"]) == (0, 1)
    (listed,) = found["rounding_samples"]
    assert (listed["sample"], listed["tensor"], listed["stage"], listed["elements"]) == (0, "s", "reference", 1)


def test_a_tie_that_the_c_rounds(tmp_path: Path) -> None:
    bench = Bench(tmp_path, two_layers(TIE, np.array([[2.0]])))
    inputs = np.array([[1, 1, 1], [1, 1, 2]], np.float32)
    exact = np.array([bench.compiled.reference([x])[0] for x in inputs])
    flip = bench.verify(lambda i, y: [-y[0] if i == 0 else y[0]], input=inputs, output=exact)
    assert (flip["mismatches"], flip["rounding"], flip["rounding_samples"][0]["stage"]) == (0, 1, "c")
    wrong = bench.verify(lambda i, y: [-y[0] if i == 1 else y[0]], input=inputs, output=exact)
    assert (wrong["mismatches"], wrong["rounding"], wrong["first_difference"]["sample"]) == (1, 0, 1)
    other = bench.verify(lambda i, y: [y[0] * 0.7], input=inputs, output=exact)
    assert other["mismatches"] == 2, "no decision gives these outputs"


def test_a_rounded_tie_does_not_excuse_the_rest_of_the_network(tmp_path: Path) -> None:
    """The reference's decision is replayed, and everything after it must still agree."""
    first = np.concatenate([TIE, np.array([[1.0], [-2.0], [4.0]])], axis=1)
    bench = Bench(tmp_path, two_layers(first, np.array([[2.0], [1.0]])))
    inputs = np.ones((1, 3), np.float32)
    assert bench.verify(input=inputs)["rounding"] == 1
    reference = ort.InferenceSession(str(bench.path)).run(None, {"x": inputs})[0]
    found = bench.verify(input=inputs, output=reference - 0.5)
    assert (found["mismatches"], found["rounding"]) == (1, 0)


def test_wrong_stored_outputs_are_a_mismatch(signs: Bench) -> None:
    inputs = np.random.default_rng(0).standard_normal((3, 1, 8)).astype(np.float32)
    good = np.array([signs.compiled.reference([x])[0] for x in inputs])
    assert signs.verify(input=inputs, output=good)["reference"] == "vectors"
    found = signs.verify(input=inputs, output=good + [[[0]], [[0]], [[2]]])
    assert (found["mismatches"], found["rounding"]) == (1, 0)
    assert (found["first_difference"]["sample"], found["first_difference"]["stage"]) == (2, "reference")


def test_integer_outputs_are_compared_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    bench = Bench(tmp_path, two_layers(rng.choice([-1, 1], (8, 16)), rng.standard_normal((16, 4)), classes=True))
    assert bench.verify()["mismatches"] == 0
    assert bench.verify(lambda i, y: [y[0] + (i == 3)])["mismatches"] == 1


def test_equal_logits_may_go_to_either_class_only_within_rounding(tmp_path: Path) -> None:
    """Two classes with the same sum in another order: a near tie of the arg max."""
    weights = np.array([[0.1, 0.3, -9], [0.2, 0.2, -9], [0.3, 0.1, -9]])
    bench = Bench(tmp_path, two_layers(np.eye(3), weights, classes=True))
    inputs = np.ones((1, 3), np.float32)
    good = bench.compiled.reference([inputs[0]])[0].reshape(1, 1)
    other = bench.verify(lambda i, y: [1 - y[0]], input=inputs, output=good)
    assert (other["mismatches"], other["rounding"]) == (0, 1)
    assert bench.verify(lambda i, y: [y[0] * 0 + 2], input=inputs, output=good)["mismatches"] == 1


def test_any_of_several_equal_logits_may_win_and_no_other(tmp_path: Path) -> None:
    weights = np.array([[0.1, -9, 0.3, 0.2, 0.3], [0.2, -9, 0.2, 0.3, 0.1], [0.3, -9, 0.1, 0.1, 0.2]])
    bench = Bench(tmp_path, two_layers(np.eye(3), weights, classes=True))
    inputs = np.ones((1, 3), np.float32)
    good = bench.compiled.reference([inputs[0]])[0].reshape(1, 1)
    for winner in (0, 2, 3, 4):
        other = bench.verify(lambda i, y, winner=winner: [y[0] * 0 + winner], input=inputs, output=good)
        assert (other["mismatches"], other["rounding"]) == (0, int(winner != good.item())), winner
    assert bench.verify(lambda i, y: [y[0] * 0 + 1], input=inputs, output=good)["mismatches"] == 1
    assert bench.verify(input=inputs, output=good * 0 + 1)["mismatches"] == 1, "stored by an executor that is wrong"


def test_a_hundred_equal_pairs_are_seen_in_the_output(tmp_path: Path) -> None:
    """Far more near ties than a search can try: the indices are outputs, so they are replayed."""
    n = Net()
    x = n.add("Conv", n.input([1, 3, 10, 10]), np.float32([[0.1, 0.2, 0.3], [0.3, 0.1, 0.2]]).reshape(2, 3, 1, 1))
    index = n.add("ArgMax", n.add("Concat", x, n.add("Sub", x, 9.0), axis=1), axis=1)
    bench = Bench(tmp_path, n.model(n.cast(index), n.cast(n.add("ArgMin", x, axis=1))).SerializeToString())
    inputs = np.ones((1, 3, 10, 10), np.float32)
    good = [y[None] for y in bench.compiled.reference([inputs[0]])]
    stored = {"input": inputs, "output": good[0], "output1": good[1]}
    found = bench.verify(lambda i, y: [1 - y[0], y[1]], **stored)
    assert (found["mismatches"], found["rounding"]) == (0, 1)
    assert found["rounding_samples"][0]["elements"] == 100
    assert bench.verify(lambda i, y: [y[0] + 2, y[1]], **stored)["mismatches"] == 1


def test_winners_are_read_off_a_hardmax(tmp_path: Path) -> None:
    """The index of the largest element is no tensor of ONNX there; the element that is 1 tells it."""
    n = Net()
    weights = np.stack([TIE[:, 0], np.zeros(3)]).reshape(2, 3, 1, 1)
    x = n.add("Conv", n.input([1, 3, 10, 10]), weights.astype(np.float32))
    bench = Bench(tmp_path, n.model(n.add("Hardmax", x, axis=1)).SerializeToString())
    inputs = np.ones((1, 3, 10, 10), np.float32)
    exact = bench.compiled.reference([inputs[0]])[0]
    assert (ort.InferenceSession(str(bench.path)).run(None, {"x": inputs})[0] != exact).all(), "the example must be one"
    found = bench.verify(input=inputs)
    assert (found["mismatches"], found["rounding"]) == (0, 1)
    other = bench.verify(lambda i, y: [1 - y[0]], input=inputs, output=exact[None])
    assert (other["mismatches"], other["rounding_samples"][0]["elements"]) == (0, 100)
    assert bench.verify(lambda i, y: [y[0] * 0 + 1], input=inputs)["mismatches"] == 1


def test_a_decision_inside_of_an_operator_is_not_its_output() -> None:
    """ThresholdedRelu compares, and its output is not what the comparison gave."""
    n = Net()
    x = n.add("Sign", n.add("ThresholdedRelu", n.add("Mul", n.input([1, 4]), 0.7), alpha=0.25))
    graph = compiled(n.model(x)).imported
    sites = {node.op.expr.fn: decision_site(node) for node in graph.nodes if isinstance(node.op, Map)}
    assert sites["where"] is None and sites["mul"] is None
    assert sites["sign"] == next(node.output for node in graph.nodes if node.op.expr.fn == "sign")


def test_products_below_the_smallest_number_are_rounded_to_it(tmp_path: Path) -> None:
    """0.1 times the smallest number is 0, and 0.1 times the sum of eight is not: the class is decided by rounding."""
    n = Net()
    weights = np.where(np.arange(8)[:, None] < np.array([4, 8]), 0.1, -0.1)
    model = n.model(n.add("ArgMax", n.add("MatMul", n.input([1, 8]), weights), axis=1), element=TensorProto.INT64)
    bench = Bench(tmp_path, model.SerializeToString())
    found = bench.verify(input=np.full((1, 8), 2.0**-149, np.float32))
    assert (found["mismatches"], found["rounding"]) == (0, 1)
    assert bench.verify(lambda i, y: [1 - y[0]], input=np.ones((1, 8), np.float32))["mismatches"] == 1


def test_a_tie_between_numbers_too_far_apart_for_float64(tmp_path: Path) -> None:
    """`(0.5 + x) - 0.5 > x` is never true, but it is in float32 for x = -1e-20, and 0.5 - 1e-20 is 0.5 in float64."""
    nodes = [
        helper.make_node("Add", ["x", "half"], ["a"]),
        helper.make_node("Sub", ["a", "half"], ["b"]),
        helper.make_node("Sub", ["b", "x"], ["c"]),
        helper.make_node("Greater", ["c", "zero"], ["y"]),
    ]
    constants = {"half": np.float32(0.5), "zero": np.float32(0)}
    bench = Bench(tmp_path, model_of(nodes, constants, [3], ["y"], out=TensorProto.BOOL))
    x = np.float32([[1e-20, -1e-20, 0.25]])
    found = bench.verify(input=x)
    assert (found["mismatches"], found["rounding"]) == (0, 1)
    assert bench.verify(lambda i, y: [y[0] ^ np.bool_([[0, 0, 1]])], input=x)["mismatches"] == 1, "0.25 is exact"


def test_a_decision_that_is_repeated_is_taken_once(tmp_path: Path) -> None:
    """One comparison for all rows: what the output shows of it is one row."""
    n = Net()
    rows = n.add("Expand", n.add("Mul", n.input([1, 3]), 0.1), np.array([4, 3]))
    bench = Bench(tmp_path, n.model(n.add("Greater", rows, 0.3), element=TensorProto.BOOL).SerializeToString())
    inputs = np.array([[3, 3, 1]], np.float32)
    found = bench.verify(lambda i, y: [np.array(y[0]) ^ np.array([True, True, False])], input=inputs)
    assert (found["mismatches"], found["rounding"]) == (0, 1)


@pytest.mark.parametrize("rows", [[[1.0, -1.0]], [[1.0, -1.0], [0.5, 3.0], [7.0, 1.0]]])
def test_decisions_are_read_off_a_table_of_values(rows: list[list[float]]) -> None:
    """One table for all channels, or one each; a number that is in none of them tells nothing."""
    builder = graph_with(TensorType((1, 2, 3)))
    line = [np.zeros(size, np.int64) for size in (1, 2)]
    step = Quantize(np.zeros((1, 1, 3, 1)), np.tile(np.array([1, 0], np.uint8), (1, 1, 3, 1)), *line)
    code = builder.emit(step, ["x"], "code")
    graph = finished(builder, builder.emit(LevelValues(np.array(rows), "f32"), [code], "y"))
    (values,) = outputs(graph, [np.array([[[-1, 2, 3], [4, -5, 6]]], np.float32)])
    values = values.copy()
    values[0, 1, 2] = 2.0
    np.testing.assert_array_equal(visible(graph, [values])[code], [1, 0, 0, 0, 1, np.nan])


def test_decisions_are_read_off_bits_in_another_layout() -> None:
    builder = graph_with(TensorType((1, 2, 3)))
    line = [np.zeros(size, np.int64) for size in (1, 2)]
    step = Quantize(np.zeros((1, 1, 3, 1)), np.tile(np.array([1, 0], np.uint8), (1, 1, 3, 1)), *line)
    code = builder.emit(step, ["x"], "code")
    planes = builder.emit(ConvertLayout("planes"), [code], "planes")
    graph = finished(builder, builder.emit(ConvertLayout("pixels"), [planes], "y"))
    values = np.array([[[0, 1, 1], [1, 0, 0]]], np.float32)
    np.testing.assert_array_equal(visible(graph, [values])[code], values.ravel())


def test_bounds_contain_what_onnxruntime_gets_and_execution_is_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    scale = rng.uniform(0.1, 2, 16).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("BatchNormalization", ["a", "g", "b", "m", "v"], ["n"]),
        helper.make_node("Tanh", ["n"], ["t"]),
        helper.make_node("Softmax", ["t"], ["y"], axis=1),
    ]
    constants = {"w": rng.standard_normal((32, 16)), "g": scale, "b": scale - 1, "m": scale, "v": scale}
    data = model_of(nodes, {k: v.astype(np.float32) for k, v in constants.items()}, [32], ["y"])
    bench = Bench(tmp_path, data)
    session = ort.InferenceSession(data)
    for sample in rng.standard_normal((20, 32)).astype(np.float32):
        values = evaluate(bench.compiled.imported, [sample], Flips())
        (got,) = results(bench.compiled.imported, values)
        assert np.array_equal(got.ravel(), outputs(bench.compiled.imported, [sample])[0].ravel())
        (error,) = (values[port.value].error for port in bench.compiled.imported.outputs)
        gap = np.abs(got.ravel() - session.run(None, {"x": sample[None]})[0].ravel())
        assert (gap <= np.ravel(error) + 1e-9).all()


def test_the_search_gives_up_and_says_mismatch(tmp_path: Path) -> None:
    """Many ties at once: no more than 64 executions are tried."""
    bench = Bench(tmp_path, two_layers(np.tile(TIE, (1, 40)), np.arange(40)[:, None] + 0.5))
    exact = bench.compiled.reference([np.ones(3, np.float32)])[0]
    found = bench.verify(lambda i, y: [y[0] * 0 + 0.123], input=np.ones((1, 3), np.float32), output=exact[None])
    assert found["mismatches"] == 1


def test_without_onnxruntime(signs: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ToolchainMissing, match="pip install"):
        signs.verify()
    inputs = np.ones((1, 8), np.float32)
    assert signs.verify(input=inputs, output=signs.compiled.reference([inputs[0]])[0][None])["mismatches"] == 0


def test_onnxruntime_refuses_the_model(signs: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such operator\nmore")

    monkeypatch.setattr(ort, "InferenceSession", refuse)
    with pytest.raises(CompileError) as caught:
        signs.verify()
    assert caught.value.diagnostics[0].code == "BNN022"
    assert "no such operator" in caught.value.diagnostics[0].message


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_float_types(tmp_path: Path, kind: int) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    nodes = [helper.make_node("Mul", ["x", "c"], ["a"]), helper.make_node("Relu", ["a"], ["y"])]
    data = model_of(nodes, {"c": np.full(4, 2, dtype)}, [4], ["y"], kind=kind, out=kind)
    inputs = np.arange(-4, 4, dtype=np.float32).reshape(2, 4)
    assert Bench(tmp_path, data).verify(input=inputs)["mismatches"] == 0


@pytest.mark.parametrize(("fn", "near"), [("fmod", {0, 3}), ("mod", {0, 2, 3}), ("bool", {2}), ("not", {2})])
def test_jumps_are_decided_within_rounding_only(fn: str, near: set[int]) -> None:
    """Remainders next to a multiple of the divisor, truth values next to 0."""
    numbers, divisor = np.float32([0.6, 0.5, 0.0, -0.9]).reshape(1, 1, 4), np.float32(0.3)
    expr = apply(fn, Arg(0), const(divisor)) if fn in ("mod", "fmod") else apply(fn, Arg(0))
    exact, decide = Flips(), Flips()
    evaluate_bounded(expr, [Bounded(numbers, np.zeros(1))], "y", exact)
    own = evaluate_bounded(expr, [Bounded(numbers, np.full(1, 1e-7))], "y", decide)
    assert not exact.ties and {tie.position for tie in decide.ties} == near
    flips = {tie.position: tie for tie in decide.ties}
    other = evaluate_bounded(expr, [Bounded(numbers, np.full(1, 1e-7))], "y", Flips(tuple(flips.values())))
    jumps = np.abs(other.value - own.value).ravel()
    wanted = np.where([k in near for k in range(4)], divisor if "mod" in fn else 1, 0)
    np.testing.assert_allclose(jumps, wanted, atol=2e-7)


def half_network() -> Net:
    """float16 layers with weights that need all 11 bits; onnxruntime rounds between some of them."""
    n, rng = Net(dtype=np.float16), np.random.default_rng(4)
    x = n.add("Tanh", n.add("MatMul", n.input([1, 24]), rng.standard_normal((24, 30))))
    x = n.reshape(n.add("Mul", n.reshape(x, 1, 3, 10), 0.3), 1, 30)
    n.add("MatMul", x, rng.standard_normal((30, 6)))
    return n


def told_of_half(bench: Bench) -> list[str]:
    return [one.node for one in bench.compiled.report_data["warnings"] if one.code == "BNN032"]


def test_float16_is_computed_in_float32_and_told(tmp_path: Path) -> None:
    n = half_network()
    bench = Bench(tmp_path, n.model(n.nodes[-1].output[0]).SerializeToString())
    assert told_of_half(bench) == [n.nodes[0].name], "once"
    found = bench.verify(samples=10)
    assert found["mismatches"] == 0, "inputs, outputs and results between are rounded to float16"
    wrong = bench.verify(lambda i, y: [y[0] * np.float32(1.01)], samples=10)
    assert wrong["mismatches"] == 9, "all but the sample of zeros"


def test_decisions_on_float16_are_listed(tmp_path: Path) -> None:
    """onnxruntime rounds to float16 between two casts: each number becomes the threshold that it is compared with."""
    inputs = np.random.default_rng(6).standard_normal((12, 1, 24)).astype(np.float32)
    n = Net()
    x = n.cast(n.cast(n.input([1, 24]), TensorProto.FLOAT16))
    y = n.add("Sign", n.add("Sub", x, inputs[0].astype(np.float16).astype(np.float32)))
    bench = Bench(tmp_path, n.model(n.add("MatMul", y, np.eye(24))).SerializeToString())
    found = bench.verify(input=inputs)
    assert (found["mismatches"], found["rounding"]) == (0, 1)
    assert found["rounding_samples"][0]["sample"] == 0 and found["rounding_samples"][0]["elements"] > 20
    assert bench.verify(lambda i, y: [-y[0]] if i else y, input=inputs)["mismatches"] == 11, "clear decisions"


def test_float16_that_is_only_stored_is_not_told(tmp_path: Path) -> None:
    """Weights cast to float32, an input that is moved and compared: nothing is rounded."""
    n = Net()
    w = n.cast(n.const(np.random.default_rng(1).standard_normal((8, 3)), np.float16))
    x = n.add("Relu", n.reshape(n.input([1, 2, 4], element=TensorProto.FLOAT16), 1, 8))
    bench = Bench(tmp_path, n.model(n.add("MatMul", n.cast(x), w)).SerializeToString())
    assert not told_of_half(bench) and bench.verify(samples=6)["mismatches"] == 0
    n = Net()
    cast = n.cast(n.cast(n.input([1, 8]), TensorProto.FLOAT16))
    bench = Bench(tmp_path, n.model(cast).SerializeToString())
    assert len(told_of_half(bench)) == 1
    found = bench.verify(samples=6)
    assert found["mismatches"] == 0 and found["rounding"] >= 4


def test_on_this_machine(signs: Bench) -> None:
    try:
        found = verify_model(signs.compiled, signs.path, ["host"], None, 20)["results"][0]
    except ToolchainMissing as missing:
        pytest.skip(str(missing))
    assert (found["samples"], found["mismatches"], found["rounding"]) == (20, 0, 0)
    assert found["flash_bytes"] > 0 and found["static_ram_bytes"] == 0


def test_unknown_target(signs: Bench) -> None:
    with pytest.raises(CompileError) as caught:
        verify_model(signs.compiled, signs.path, ["cortex-m9"], None, 2)
    assert caught.value.diagnostics[0].code == "BNN019"


def test_several_ties_at_once_are_found() -> None:
    """Sums of multiples of 0.3 that are 0 in real arithmetic: float32 decides their signs by rounding."""
    n, rng = Net(), np.random.default_rng(8)
    x = n.input([1, 8, 6])
    signs = n.add("Where", n.add("Greater", x, 0.0), 1.0, -1.0)
    codes = n.chain(n.clip(n.add("Div", x, 0.3), -7.0, 7.0), ("Round",), ("Mul", 0.3))
    decided = n.add("Sign", n.add("MatMul", signs, n.add("Transpose", codes, perm=[0, 2, 1])))
    found = compiled(n.model(n.add("MatMul", decided, rng.choice([-1.0, 1.0], (8, 5)).astype(np.float32))))
    allowed, counts = [Tolerance("y", False, 1e-4)], []
    for _ in range(12):
        feeds = [rng.standard_normal((1, 8, 6)).astype(np.float32)]
        target = found.reference(feeds)
        flips = search(found.imported, feeds, Target(target, allowed))
        assert flips is not None
        counts.append(len(flips))
        wrong = [target[0] + np.where(np.arange(5) == 2, 2, 0)]
        assert search(found.imported, feeds, Target(wrong, allowed)) is None
    assert max(counts) > 1


@pytest.mark.parametrize(
    ("gate", "steep", "inputs"),
    [("Sigmoid", -20, [[1, 2], [0.5, 0.25]]), ("Tanh", 1, [[1e-45, -1e-45], [0.5, 1e-30]])],
)
def test_a_gate_that_the_reference_rounds_to_zero(
    gate: str, steep: float, inputs: list[list[float]], tmp_path: Path
) -> None:
    """onnxruntime's Sigmoid is 0 from -18 on, its Tanh below 1e-43; a sign after it is a matter of rounding."""
    nodes = [
        helper.make_node("Mul", ["x", "steep"], ["m"]),
        helper.make_node(gate, ["m"], ["gate"]),
        helper.make_node("Sign", ["gate"], ["y"]),
    ]
    bench = Bench(tmp_path, model_of(nodes, {"steep": np.float32(steep)}, [2], ["y"]))
    found = bench.verify(input=np.array(inputs, np.float32))
    assert (found["mismatches"], found["rounding"]) == (0, 1)


def test_sums_that_cancel_are_judged_by_the_network_in_float64(tmp_path: Path) -> None:
    """100 products near 1e6 and their opposites: float32 sums are off by much of what is left."""
    rng = np.random.default_rng(2)
    half, x = rng.standard_normal((100, 3)), rng.uniform(1e6, 2e6, 100).astype(np.float32)
    rest = rng.integers(-8, 9, 100)
    weights = np.tile(half, (2, 1)).astype(np.float32)
    data = model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weights}, [200], ["y"])
    bench = Bench(tmp_path, data)
    x = np.concatenate([x, rest - x]).astype(np.float32)
    near = bench.compiled.reference([x])[0]
    stored = {"input": x[None], "output": near[None] + np.float32(0.5)}
    found = bench.verify(**stored)
    assert (found["mismatches"], found["rounding"]) == (0, 1)
    assert found["rounding_samples"][0]["stage"] == "precision"
    assert bench.verify(lambda i, y: [y[0] - 1], **stored)["mismatches"] == 1, "further than the reference"
    assert bench.verify(lambda i, y: [y[0] * 1e4], input=x[None], output=near[None] * 1e5)["mismatches"] == 1, "too far"


@pytest.mark.parametrize(("distance", "mismatches"), [(0.9, 0), (-1.1, 0), (1.5, 1), (-1.5, 1)])
def test_a_number_as_near_to_float64_as_the_reference_is_right(
    distance: float, mismatches: int, tmp_path: Path
) -> None:
    """5 * 53.68593 - 267.78757: the product is rounded by half a unit, which is much of what is left."""
    nodes = [helper.make_node("Mul", ["x", "s"], ["m"]), helper.make_node("Sub", ["m", "b"], ["y"])]
    factor, bias = np.float32(53.68593), np.float32(267.78757)
    bench = Bench(tmp_path, model_of(nodes, {"s": factor, "b": bias}, [1], ["y"]))
    exact, rounded = 5 * np.float64(factor) - bias, np.float64(5 * factor - bias)
    assert abs(exact - rounded) > 1.5e-5
    moved = np.float32([[exact + distance * (exact - rounded)]])
    found = bench.verify(lambda i, y: [moved], input=np.float32([[5]]))
    assert found["mismatches"] == mismatches


def test_small_probabilities_are_compared_with_the_range_of_probabilities(tmp_path: Path) -> None:
    """Sigmoid(-15) is 3.1e-7, onnxruntime's 2.7e-7."""
    nodes = [helper.make_node("Sub", ["x", "far"], ["m"]), helper.make_node("Sigmoid", ["m"], ["y"])]
    bench = Bench(tmp_path, model_of(nodes, {"far": np.float32(15)}, [2], ["y"]))
    assert bench.compiled.manifest["outputs"][0]["range"] == 1.0
    assert bench.verify()["mismatches"] == 0


def test_the_reference_is_looked_into_although_numpy_has_no_four_bits(tmp_path: Path) -> None:
    """All tensors but those of int4, which weights pass through, are known where decisions are replayed."""
    rng = np.random.default_rng(1)
    codes = rng.choice([-1, 1], (6, 12))
    first = helper.make_tensor("q", TensorProto.INT4, codes.shape, codes.ravel().tolist())
    nodes = [
        helper.make_node("Constant", [], ["q1"], value=first),
        helper.make_node("DequantizeLinear", ["q1", "scale"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Sign", ["a"], ["s"]),
        helper.make_node("MatMul", ["s", "w2"], ["y"]),
    ]
    weights = {"scale": np.float32(0.1), "w2": rng.choice(np.float32([-1, 1]), (12, 3))}
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    reference = Reference(load_model(model))
    seen = reference.trace([np.ones((1, 6), np.float32)])
    assert "q1" not in seen and {"w", "a", "s", "y"} <= set(seen)


def overflowing(scale: float, mask: float = 0.0) -> bytes:
    """`sign(x * scale * 3e38 + mask) @ w`: infinite where the product is beyond float32."""
    nodes = [
        helper.make_node("Mul", ["x", "k"], ["a"]),
        helper.make_node("Mul", ["a", "h"], ["b"]),
        helper.make_node("Add", ["b", "m"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["s"]),
        helper.make_node("MatMul", ["s", "w"], ["y"]),
    ]
    constants = {
        "k": np.float32(scale),
        "h": np.float32(3e38),
        "m": np.float32([mask, 0]),
        "w": np.eye(2, dtype=np.float32),
    }
    return model_of(nodes, constants, [2], ["y"])


@pytest.mark.parametrize(
    ("scale", "mask", "excused"), [(9.0, 0.0, 1), (0.0, 0.0, 0), (0.0, -np.inf, 0), (np.inf, 0.0, 1)]
)
def test_beyond_real_numbers(scale: float, mask: float, excused: int, tmp_path: Path) -> None:
    """Overflows and NaN of the reference excuse a sample; an infinity that the model gives does not."""
    x = np.float32([[2, 0]])
    found = Bench(tmp_path, overflowing(scale, mask)).verify(lambda _, y: [np.full_like(y[0], 7)], input=x)
    assert (found["rounding"], found["mismatches"]) == (excused, 1 - excused)
    listed = [*found["rounding_samples"], found["first_difference"]][0]
    assert (listed["stage"] == "not finite") == bool(excused)


def test_tolerances_are_as_small_as_outputs_and_sums() -> None:
    """1e-5 of the range, however small; of a sum, few units, or four standard deviations, and four."""
    (one,) = tolerances([{"name": "y", "dtype": "float32"}], [[np.array([1e-4, -1e-4])]])
    assert not one.exact and one.limit == pytest.approx(2e-9)
    assert (summation(4), summation(10_000)) == (8 * UNIT, 404 * UNIT) and np.finfo(np.float32).epsneg == UNIT
