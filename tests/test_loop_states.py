"""Where the states of a loop lie, and steps from zeros or in both directions that leave nothing outside of loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from sequence_models import Onnx, recurrent_operator
from test_sequences import check, kinds
from test_whole_last_steps import FEATURES, GATES, HIDDEN, STEPS, cell

from bnn2c.bench import bench_model
from bnn2c.options import Options
from bnn2c.pipeline import compile_model

ZEROS = np.zeros((1, HIDDEN), np.float32)


def minimal_units(steps: int) -> onnx.ModelProto:
    """`h' = h + f (tanh(x_n + f h_n) - h)` of binarised states, from zeros; all states are the output."""
    g, width = Onnx(14), 2 * HIDDEN
    wx, wh, bias = g.constant(g.signs(FEATURES, width)), g.constant(g.signs(HIDDEN, width)), g.constant(g.normal(width))
    h, rows = g.constant(ZEROS), []
    for t in range(steps):
        x = g("Add", g("MatMul", g.sign_of(g("Gather", "x", g.constant(t), axis=1)), wx), bias)
        halves = []
        for value in (x, g("MatMul", g.sign_of(h), wh)):
            first = g("Split", value, g.constant([HIDDEN] * 2), outputs=2, axis=1)
            halves.append((first, f"{first}_1"))
        (xf, xn), (hf, hn) = halves
        f = g("Sigmoid", g("Add", xf, hf))
        n = g("Tanh", g("Add", xn, g("Mul", f, hn)))
        h = g("Add", h, g("Mul", f, g("Sub", n, h)))
        rows.append(g("Unsqueeze", h, g.constant([1])))
    g("Concat", *rows, axis=1, name="y")
    return g.model({"x": [1, steps, FEATURES]}, {"y": [1, steps, HIDDEN]})


def joined_rows(kind: str, steps: int) -> onnx.ModelProto:
    """Both directions from zeros; the two states of a frame are joined, then the frames."""
    g, width, ways = Onnx(15), GATES[kind] * HIDDEN, []
    for order in (range(steps), range(steps - 1, -1, -1)):
        wx, wh = g.constant(g.signs(FEATURES, width)), g.constant(g.signs(HIDDEN, width))
        bias, state, found = g.constant(g.normal(width)), dict.fromkeys("hc", g.constant(ZEROS)), {}
        for t in order:
            given = g("Add", g("MatMul", g("Gather", "x", g.constant(t), axis=1), wx), bias)
            state = state | cell(g, kind, given, g("MatMul", state["h"], wh), state)
            found[t] = state["h"]
        ways.append(found)
    rows = [g("Unsqueeze", g("Concat", *(way[t] for way in ways), axis=1), g.constant([1])) for t in range(steps)]
    g("MatMul", g("Concat", *rows, axis=1), g.constant(g.signs(2 * HIDDEN, 5)), name="y")
    return g.model({"x": [1, steps, FEATURES]}, {"y": [1, steps, 5]})


def stacked_codes(kind: str, steps: int, layers: int) -> onnx.ModelProto:
    """Layers of both directions from zeros; what is handed on of a frame are the signs of its two states."""
    g, width = Onnx(16), GATES[kind] * HIDDEN
    frames = [g.sign_of(g("Gather", "x", g.constant(t), axis=1)) for t in range(steps)]
    for layer in range(layers):
        ways = []
        for order in (range(steps), range(steps - 1, -1, -1)):
            wx, wh = g.constant(g.signs(2 * HIDDEN if layer else FEATURES, width)), g.constant(g.signs(HIDDEN, width))
            bias, state, found = g.constant(g.normal(width)), dict.fromkeys("hc", g.constant(ZEROS)), {}
            for t in order:
                kept = g("MatMul", g.sign_of(state["h"]), wh)
                state = state | cell(g, kind, g("Add", g("MatMul", frames[t], wx), bias), kept, state)
                found[t] = g.sign_of(state["h"])
            ways.append(found)
        frames = [g("Concat", *(way[t] for way in ways), axis=1) for t in range(steps)]
    rows = [g("Unsqueeze", frame, g.constant([1])) for frame in frames]
    g("MatMul", g("Concat", *rows, axis=1), g.constant(g.signs(2 * HIDDEN, 5)), name="y")
    return g.model({"x": [1, steps, FEATURES]}, {"y": [1, steps, 5]})


def test_states_among_the_results_are_not_copied(tmp_path: Path) -> None:
    """The next step reads the row that a step wrote, the first one the operand."""
    compiled = check(recurrent_operator("RNN", STEPS, "forward"), tmp_path, 3)
    (loop,) = [node.op for node in compiled.final.nodes if node.op.kind == "loop"]
    assert list(loop.followed.values()) == [0]
    assert not loop.layout[0]
    assert "bnn2c_copy" not in compiled.files["net.c"]


def test_states_that_are_no_results_are_replaced_in_place(tmp_path: Path) -> None:
    """The cell of an LSTM all of whose outputs are read: one copy, of its first value."""
    compiled = check(recurrent_operator("LSTM", STEPS, "forward"), tmp_path, 3)
    (loop,) = [node.op for node in compiled.final.nodes if node.op.kind == "loop"]
    assert len(loop.followed) == len(loop.kept_in_place) == 1
    assert compiled.files["net.c"].count("bnn2c_copy") == 1


def test_sums_with_first_states_of_zeros_are_in_the_loop(tmp_path: Path) -> None:
    compiled = check(minimal_units(STEPS), tmp_path, 3)
    assert kinds(compiled).count("loop") == 1
    assert {"binary_conv2d", "quantize", "concat"}.isdisjoint(kinds(compiled))


@pytest.mark.parametrize("kind", list(GATES))
def test_rows_of_both_directions_are_joined_once(kind: str, tmp_path: Path) -> None:
    """Two loops, which begin from the same zeros, and a concatenation however many steps there are."""
    compiled = check(joined_rows(kind, STEPS), tmp_path, 3)
    assert kinds(compiled).count("loop") == 2
    assert kinds(compiled).count("map") == kinds(compiled).count("concat") == 1


@pytest.mark.parametrize("kind", list(GATES))
def test_layers_that_hand_on_codes_are_loops(kind: str, tmp_path: Path) -> None:
    """Whatever the number of steps; all initial states are the same zeros."""
    found = kinds(check(stacked_codes(kind, STEPS, 2), tmp_path, 3))
    assert found == kinds(compile_model(stacked_codes(kind, STEPS + 2, 2), Options(name="net")))
    assert 5 <= found.count("loop") <= 7
    assert found.count("map") == 1
    assert "binary_conv2d" not in found


@pytest.mark.cross
@pytest.mark.parametrize("kind", list(GATES))
def test_both_directions_from_zeros_take_the_code_of_a_step(kind: str) -> None:
    """A step from zeros has no products with states; it shares the kernel of those with inputs."""
    options = Options(name="net", target="cortex-m4")
    one, all_steps = (bench_model(compile_model(joined_rows(kind, n), options)) for n in (1, STEPS))
    assert all_steps["code_bytes"] <= 1.3 * one["code_bytes"]
