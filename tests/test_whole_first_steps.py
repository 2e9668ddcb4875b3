"""A first step from zeros, which exporters simplify, becomes a step like the others where it computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from sequence_models import Onnx, unrolled_gru
from test_sequences import check, kinds
from test_streaming import both

from bnn2c.bench import bench_model
from bnn2c.errors import CompileError
from bnn2c.options import Options
from bnn2c.pipeline import compile_model

STEPS, HIDDEN = 7, 32
ZEROS = np.zeros((1, HIDDEN), np.float32)


def changed_bias(change: float) -> onnx.ModelProto:
    """The GRU from zeros with another bias in its first step."""
    model = unrolled_gru(STEPS, state=ZEROS)
    arrays = {t.name: t for t in model.graph.initializer}
    adds = [n for n in model.graph.node if n.op_type == "Add" and n.input[1] in arrays]
    other = onnx.numpy_helper.to_array(arrays[adds[0].input[1]]) + np.float32(change)
    model.graph.initializer.append(onnx.numpy_helper.from_array(other, "other"))
    adds[0].input[1] = "other"
    return model


@pytest.mark.parametrize("every_step", [False, True])
def test_a_first_step_from_zeros_is_in_the_loop(every_step: bool, tmp_path: Path) -> None:
    compiled = check(unrolled_gru(STEPS, every_step=every_step, state=ZEROS), tmp_path)
    (loop,) = [layer for layer in compiled.manifest["layers"] if layer["op"] == "loop"]
    assert loop["kernel"] == f"loop of {STEPS} steps"
    assert {"binary_conv2d", "quantize", "concat"}.isdisjoint(kinds(compiled))


@pytest.mark.parametrize("state", ["other", "bias"])
def test_another_first_step_stays_apart(state: str, tmp_path: Path) -> None:
    start = np.random.default_rng(0).normal(size=(1, HIDDEN)).astype(np.float32)
    compiled = check(unrolled_gru(STEPS, state=start) if state == "other" else changed_bias(1e-3), tmp_path)
    assert "binary_conv2d" in kinds(compiled)


def cells_from_zeros(kind: str) -> onnx.ModelProto:
    """Steps with real states, the first without its products: LSTM-like with two states, RNN-like with one."""
    g, size = Onnx(6), 12
    wx, wh, bias = g.constant(g.signs(6, 4 * size)), g.constant(g.signs(size, 4 * size)), g.constant(g.normal(4 * size))
    h = c = ""
    for t in range(STEPS):
        cut = [g.constant(np.array([n])) for n in (t, t + 1, 1)]
        x = g("Add", g("MatMul", g("Squeeze", g("Slice", "x", *cut), cut[2]), wx), bias)
        sums = g("Add", x, g("MatMul", h, wh)) if h else x
        first = g("Split", sums, g.constant(np.array([size] * 4)), outputs=4, axis=1)
        i, f, o, n = (
            g(fn, name)
            for fn, name in zip(
                ("Sigmoid", "Sigmoid", "Sigmoid", "Tanh"), (first, *(f"{first}_{k}" for k in (1, 2, 3))), strict=True
            )
        )
        if kind == "rnn":
            h = g("Mul", g("Mul", i, f), g("Mul", o, n))
            continue
        old = g("Mul", f, c or g.constant(np.zeros((1, size))))
        c = g("Add", old, g("Mul", i, n))
        h = g("Mul", o, g("Tanh", c))
    g("Identity", h, name="y")
    return g.model({"x": [1, STEPS, 6]}, {"y": [1, size]})


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_steps_without_their_first_products(kind: str, tmp_path: Path) -> None:
    compiled = check(cells_from_zeros(kind), tmp_path, 3)
    assert [layer["kernel"] for layer in compiled.manifest["layers"] if layer["op"] == "loop"] == [
        f"loop of {STEPS} steps"
    ]


@pytest.mark.parametrize("kind", ["gru", "rnn", "lstm"])
def test_such_networks_are_streamed(kind: str, tmp_path: Path) -> None:
    model = unrolled_gru(STEPS, every_step=True, state=ZEROS) if kind == "gru" else cells_from_zeros(kind)
    stream = both(model, tmp_path, axis=1)
    assert stream.manifest["stream"]["first_result_after"] == 1
    with pytest.raises(CompileError, match="cannot be streamed"):
        compile_model(changed_bias(1e-3), Options(name="net", stream=1))


@pytest.mark.parametrize("real", ["int16", "int8"])
def test_integers_share_the_whole_loop(real: str) -> None:
    compiled = compile_model(unrolled_gru(STEPS, state=ZEROS), Options(name="net", target="cortex-m0", real=real))
    (loop,) = [layer for layer in compiled.manifest["layers"] if layer["op"] == "loop"]
    assert loop["kernel"] == f"loop of {STEPS} steps"
    assert "binary_conv2d" not in kinds(compiled)


@pytest.mark.parametrize("op", ["GRU", "LSTM"])
def test_initial_states_that_are_parts_of_one_input(op: str, tmp_path: Path) -> None:
    """As torch writes layers: `h[0]` and `h[1]` are read once each, the frames once per step."""
    g, gates, hidden = Onnx(5), {"GRU": 3, "LSTM": 4}[op], 10
    x, given = "x", ["h", "c"][: gates - 2]
    for layer, width in enumerate((6, hidden)):
        weights = [g.constant(g.signs(1, gates * hidden, n)) for n in (width, hidden)]
        cut = [g.constant(np.array([n])) for n in (layer, layer + 1, 0)]
        states = [g("Slice", name, *cut) for name in given]
        x = g("Squeeze", g(op, x, *weights, "", "", *states, hidden_size=hidden), g.constant(np.array([1])))
    g("Identity", x, name="y")
    shapes = {name: [2, 1, hidden] for name in given}
    compiled = check(g.model({"x": [STEPS, 1, 6]} | shapes, {"y": [STEPS, 1, hidden]}), tmp_path, 3)
    assert kinds(compiled).count("loop") == 2
    assert "sign_conv2d" not in kinds(compiled)


@pytest.mark.cross
@pytest.mark.parametrize("optimize", ["size", "balanced"])
def test_all_steps_take_the_code_of_one(optimize: str) -> None:
    """Seven steps in a loop against a network of one step, whose product with the state is a constant."""
    options = Options(name="net", target="cortex-m4", optimize=optimize)
    one, all_steps = (bench_model(compile_model(unrolled_gru(n, state=ZEROS), options)) for n in (1, STEPS))
    assert all_steps["code_bytes"] <= 1.3 * one["code_bytes"]
