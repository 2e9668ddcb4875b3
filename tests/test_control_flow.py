"""Scan, Loop, sequences of tensors and running sums: what is known at compile time is written out, then rolled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from sequence_models import Onnx
from test_sequences import check, kinds

from bnn2c.errors import CompileError
from bnn2c.options import Options
from bnn2c.pipeline import compile_model
from bnn2c.verify.reference import Reference


def parsed(text: str, **constants: np.ndarray) -> onnx.ModelProto:
    """A model in ONNX's own text, with more constants."""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    onnx.checker.check_model(model)
    return model


def scanned(back: int, initial: bool) -> onnx.ModelProto:
    """A recurrent step over the second axis of x and the first of z; its initial state is an input, or zeros."""
    signs = np.sign(np.random.default_rng(0).normal(size=(8, 8))).astype(np.float32) * 0.25
    state = "float[1,8] state, " if initial else ""
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    scanned ({state}float[1,7,8] x, float[7,8] z) => (float[1,8] last, float[8,7] y) {{
        last, y = Scan<num_scan_inputs = 2, scan_input_axes = [1, 0], scan_input_directions = [{back}, 0],
                       scan_output_axes = [1], scan_output_directions = [{back}], body = step
            (float[1,8] h, float[1,8] frame, float[8] other) => (float[1,8] next, float[8] kept) {{
                mixed = MatMul(h, weights)
                sum = Add(mixed, frame)
                both = Add(sum, other)
                next = Tanh(both)
                kept = Squeeze(next)
            }}>(state, x, z)
    }}"""
    return parsed(text, weights=signs, **({} if initial else {"state": np.zeros((1, 8), np.float32)}))


@pytest.mark.parametrize("back", [0, 1])
@pytest.mark.parametrize("initial", [True, False])
def test_scan_becomes_a_loop(back: int, initial: bool, tmp_path: Path) -> None:
    compiled = check(scanned(back, initial), tmp_path)
    assert kinds(compiled).count("loop") == 1
    assert "sign_conv2d" not in kinds(compiled), "every step is in the loop"


@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("exclusive", [0, 1])
def test_running_sums(reverse: int, exclusive: int, tmp_path: Path) -> None:
    g = Onnx(3)
    g("CumSum", g.sign_of("x"), g.constant(np.array(-2)), name="y", reverse=reverse, exclusive=exclusive)
    compiled = check(g.model({"x": [2, 9, 5]}, {"y": [2, 9, 5]}), tmp_path)
    assert kinds(compiled).count("loop") == 1


def test_running_sums_of_integers_are_positions(tmp_path: Path) -> None:
    """As RoBERTa counts the symbols that are no padding."""
    text = """<ir_version: 8, opset_import: ["" : 17]>
    positions (int64[1,7] ids) => (float[1,7,4] y) {
        padding = Equal(ids, one)
        symbol = Not(padding)
        counted = Cast<to = 7>(symbol)
        running = CumSum(counted, axis)
        places = Mul(running, counted)
        y = Gather(table, places)
    }"""
    table = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)
    model = parsed(text, one=np.array(1), axis=np.array(1), table=table)
    compiled = compile_model(model, Options(name="net"))
    for ids in ([[5, 6, 1, 7, 1, 8, 9]], [[1, 1, 1, 1, 1, 1, 1]], [[2, 3, 4, 5, 6, 7, 8]]):
        expected = Reference(model).run([np.array(ids)])
        assert np.array_equal(compiled.reference([np.array(ids, np.int32)])[0], expected[0])


LISTS = """<ir_version: 8, opset_import: ["" : 17]>
lists (float[6,4] x) => (float[2,4] joined, float[3,2,4] stacked, float[4] one_row) {
    parts = SplitToSequence<axis = 0>(x, two)
    fewer = SequenceErase(parts, first)
    swapped = SequenceAt(parts, first)
    more = SequenceInsert(fewer, swapped, first)
    stacked = ConcatFromSequence<axis = 0, new_axis = 1>(more)
    rows = SplitToSequence<axis = 0, keepdims = 0>(x)
    count = SequenceLength(rows)
    last = Sub(count, one)
    one_row = SequenceAt(rows, last)
    ends = SequenceConstruct(one_row, one_row)
    joined = ConcatFromSequence<axis = 0, new_axis = 1>(ends)
}"""


def test_lists_of_tensors(tmp_path: Path) -> None:
    numbers = {"two": np.array(2), "first": np.array(0), "one": np.array(1)}
    check(parsed(LISTS, **numbers), tmp_path, 2)


def test_a_loop_that_its_condition_ends_and_that_keeps_a_list(tmp_path: Path) -> None:
    """As torch.export writes EmbeddingBag: rows from one offset to the next are averaged, bag by bag."""
    text = """<ir_version: 8, opset_import: ["" : 17]>
    bags (float[6,4] x) => (float[2,4] y) {
        none = SequenceEmpty()
        found, at = Loop<body = bag (int64 trip, bool go, seq(float[1,4]) list, int64[1] place)
                         => (bool more, seq(float[1,4]) longer, int64[1] next) {
            next = Add(place, one)
            start = Gather(offsets, place)
            stop = Gather(offsets, next)
            rows = Slice(x, start, stop, zero)
            mean = ReduceMean<axes = [0], keepdims = 1>(rows)
            longer = SequenceInsert(list, mean)
            more1 = Less(next, bags)
            more = Squeeze(more1)
        }>(, go_on, none, zero)
        y = ConcatFromSequence<axis = 0>(found)
    }"""
    numbers = {"one": np.array([1]), "zero": np.array([0]), "bags": np.array([2])}
    model = parsed(text, go_on=np.array(True), offsets=np.array([0, 4, 6]), **numbers)
    check(model, tmp_path, 2)


def test_a_loop_that_nothing_ends_is_refused() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    endless (float[4] x) => (float[4] y) {
        y = Loop<body = turn (int64 trip, bool go, float[4] state) => (bool on, float[4] next) {
            on = Identity(go)
            next = Add(state, state)
        }>(, go_on, x)
    }"""
    with pytest.raises(CompileError, match="at most 512"):
        compile_model(parsed(text, go_on=np.array(True)), Options(name="net"))


SIGNS = np.sign(np.random.default_rng(1).normal(size=(8, 8))).astype(np.float32)


def branches(shape: str) -> str:
    """A projection where the sum is positive, and something else where it is not."""
    return f"""<ir_version: 8, opset_import: ["" : 17]>
    either (float[1,8] x) => (float[1,8] y, float{shape} z) {{
        sum = ReduceSum<keepdims = 0>(x)
        positive = Greater(sum, nothing)
        y, z = If(positive)<
            then_branch = yes () => (float[1,8] p, float[8] q) {{ p = MatMul(x, signs)  q = Squeeze(p) }},
            else_branch = no () => (float[1,8] r, float{shape} s) {{ r = Neg(x)  s = Identity(known) }}>
    }}"""


def test_a_branch_is_chosen_by_data(tmp_path: Path) -> None:
    data = {"signs": SIGNS, "nothing": np.float32(0), "known": np.arange(8, dtype=np.float32)}
    check(parsed(branches("[8]"), **data), tmp_path, 20)


def test_branches_of_unlike_shapes_are_refused() -> None:
    data = {"signs": SIGNS, "nothing": np.float32(0), "known": np.zeros((2, 4), np.float32)}
    with pytest.raises(CompileError, match=r"shapes \[8\] and \[2, 4\]") as caught:
        compile_model(parsed(branches("[2,4]"), **data), Options(name="net"))
    assert "one shape" in caught.value.diagnostics[0].hint


def until(trips: str, collects: bool) -> str:
    """x = 0.4 signs x + x until its sum is large."""
    more, kept = (", float[n,1,8] all", ", float[1,8] kept") if collects else ("", "")
    return f"""<ir_version: 8, opset_import: ["" : 17]>
    repeat (float[1,8] x) => (float[1,8] y{more}) {{
        y{", all" if collects else ""} = Loop<body = turn (int64 trip, bool go, float[1,8] h)
            => (bool on, float[1,8] next{kept}) {{
            g = MatMul(h, signs)
            small = Mul(g, factor)
            next = Add(small, x)
            sum = ReduceSum<keepdims = 0>(next)
            size = Abs(sum)
            on = Less(size, limit)
            {"kept = Identity(next)" if collects else ""}
        }}>({trips}, go_on, x)
    }}"""


REPEATED = {"signs": SIGNS, "factor": np.float32(0.4), "limit": np.float32(9), "go_on": np.array(True)}


def test_a_loop_with_an_end_that_data_decides(tmp_path: Path) -> None:
    compiled = check(parsed(until("trips", False), **REPEATED, trips=np.array(9)), tmp_path, 50)
    assert "loop" in kinds(compiled)


@pytest.mark.parametrize(("trips", "collects"), [("", False), ("trips", True)])
def test_a_loop_whose_results_have_no_size_is_refused(trips: str, collects: bool) -> None:
    model = parsed(until(trips, collects), **REPEATED, trips=np.array(9))
    with pytest.raises(CompileError, match="depends on data") as caught:
        compile_model(model, Options(name="net"))
    assert "trip count" in caught.value.diagnostics[0].hint


def test_a_sequence_is_no_tensor() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    list (float[6,4] x) => (float[6,4] y) {
        parts = SequenceConstruct(x, x)
        y = Identity(parts)
    }"""
    with pytest.raises(CompileError, match="sequence"):
        compile_model(onnx.parser.parse_model(text), Options(name="net"))


def test_a_standardised_constant_is_zero() -> None:
    """ONNX's function subtracts two squares: with numbers that are all alike, their difference may be negative."""
    g = Onnx()
    g("MeanVarianceNormalization", "x", name="y", axes=[2])
    compiled = compile_model(g.model({"x": [1, 6, 9]}, {"y": [1, 6, 9]}, 13), Options(name="net"))
    x = np.random.default_rng(0).normal(size=(1, 6, 9)).astype(np.float32)
    wide = x.astype(np.float64)
    want = (wide - wide.mean(2, keepdims=True)) / wide.std(2, keepdims=True)
    np.testing.assert_allclose(compiled.reference([x])[0], want, rtol=0, atol=1e-5)
    assert not compiled.reference([np.full((1, 6, 9), 1e-3, np.float32)])[0].any()


def test_the_projection_that_an_exporter_lost_is_told() -> None:
    g = Onnx()
    weights = [g.constant(g.signs(1, 32, n)) for n in (6, 8)]
    states = [g.constant(np.zeros((1, 1, n), np.float32)) for n in (8, 20)]
    g("LSTM", "x", *weights, "", "", *states, name="y", hidden_size=8)
    with pytest.raises(CompileError, match="20 elements, but LSTM has 8"):
        compile_model(g.model({"x": [5, 1, 6]}, {"y": [5, 1, 1, 8]}), Options(name="net"))
