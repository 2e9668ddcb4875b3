"""The last step of cells with binarised states, which nobody quantises, is a step of the loop like the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from sequence_models import Onnx
from test_sequences import check, kinds

from bnn2c.bench import bench_model
from bnn2c.options import Options
from bnn2c.pipeline import Compiled, compile_model

STEPS, HIDDEN, FEATURES = 7, 24, 16
GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def binary_cells(kind: str, steps: int, layers: int = 1, zeros: bool = False) -> onnx.ModelProto:
    """Cells that binarise input and hidden state, written out; all hidden states of the last layer are an output.

    The first states are inputs or zeros.
    """
    g, width = Onnx(4), GATES[kind] * HIDDEN
    weights = [
        [g.constant(g.signs(n, width)) for n in (FEATURES if layer == 0 else HIDDEN, HIDDEN)] for layer in range(layers)
    ]
    biases = [g.constant(g.normal(width)) for _ in range(layers)]
    states = [{"h": f"hidden{layer}", "c": f"cell{layer}"} for layer in range(layers)]
    names = [name for k in range(layers) for name in [f"hidden{k}"] + [f"cell{k}"] * (kind == "lstm")]
    inputs = {} if zeros else {name: [1, HIDDEN] for name in names}
    g.data += [onnx.numpy_helper.from_array(np.zeros((1, HIDDEN), np.float32), name) for name in names if zeros]
    rows = []
    for t in range(steps):
        x = g("Gather", "x", g.constant(t), axis=1)
        for (wx, wh), bias, state in zip(weights, biases, states, strict=True):
            given = g("Add", g("MatMul", g.sign_of(x), wx), bias)
            kept = g("MatMul", g.sign_of(state["h"]), wh)
            state |= cell(g, kind, given, kept, state)
            x = state["h"]
        rows.append(g("Unsqueeze", x, g.constant([1])))
    g("Concat", *rows, axis=1, name="y")
    return g.model({"x": [1, steps, FEATURES]} | inputs, {"y": [1, steps, HIDDEN]})


def cell(g: Onnx, kind: str, given: str, kept: str, state: dict[str, str]) -> dict[str, str]:
    """The next states."""
    if kind == "rnn":
        return {"h": g("Tanh", g("Add", given, kept))}
    if kind == "lstm":
        i, o, f, n = parts(g, g("Add", given, kept), 4)
        new = g("Mul", g("Sigmoid", i), g("Tanh", n))
        c = g("Add", g("Mul", g("Sigmoid", f), state["c"]), new)
        return {"c": c, "h": g("Mul", g("Sigmoid", o), g("Tanh", c))}
    (xz, xr, xn), (hz, hr, hn) = parts(g, given, 3), parts(g, kept, 3)
    z, r = g("Sigmoid", g("Add", xz, hz)), g("Sigmoid", g("Add", xr, hr))
    n = g("Tanh", g("Add", xn, g("Mul", r, hn)))
    return {"h": g("Add", g("Mul", z, state["h"]), g("Mul", g("Sub", g.constant(1.0), z), n))}


def parts(g: Onnx, value: str, count: int) -> list[str]:
    """Equal parts of the last axis."""
    first = g("Split", value, g.constant([HIDDEN] * count), outputs=count, axis=1)
    return [first] + [f"{first}_{k}" for k in range(1, count)]


def assert_whole(compiled: Compiled) -> None:
    """No step is outside of the loops; an RNN has one for its sums and one for their tanh."""
    loops = {layer["kernel"] for layer in compiled.manifest["layers"] if layer["op"] == "loop"}
    assert loops == {f"loop of {STEPS} steps"}
    assert {"binary_conv2d", "concat"}.isdisjoint(kinds(compiled))


@pytest.mark.parametrize("kind", list(GATES))
def test_the_last_step_is_in_the_loop(kind: str, tmp_path: Path) -> None:
    compiled = check(binary_cells(kind, STEPS), tmp_path)
    assert_whole(compiled)


@pytest.mark.parametrize("kind", list(GATES))
def test_a_network_from_zeros(kind: str, tmp_path: Path) -> None:
    """The first step, whose product with the state is in constants and thresholds, computes what the others do."""
    assert_whole(check(binary_cells(kind, STEPS, zeros=True), tmp_path))


def test_a_first_step_with_other_thresholds_stays_apart(tmp_path: Path) -> None:
    model = binary_cells("rnn", STEPS, zeros=True)
    arrays = {t.name: t for t in model.graph.initializer}
    add = next(n for n in model.graph.node if n.op_type == "Add" and n.input[1] in arrays)
    other = onnx.numpy_helper.to_array(arrays[add.input[1]]) + np.float32(0.4)
    model.graph.initializer.append(onnx.numpy_helper.from_array(other, "other"))
    add.input[1] = "other"
    compiled = check(model, tmp_path)
    loops = {layer["kernel"] for layer in compiled.manifest["layers"] if layer["op"] == "loop"}
    assert loops == {f"loop of {STEPS - 1} steps"}


@pytest.mark.parametrize("real", ["int16", "int8"])
def test_integers_share_it(real: str) -> None:
    compiled = compile_model(binary_cells("rnn", STEPS), Options(name="net", target="cortex-m0", real=real))
    assert_whole(compiled)


@pytest.mark.cross
@pytest.mark.parametrize("kind", list(GATES))
@pytest.mark.parametrize("layers", [1, 2])
def test_all_steps_take_the_code_of_one(kind: str, layers: int) -> None:
    options = Options(name="net", target="cortex-m4")
    one, all_steps = (bench_model(compile_model(binary_cells(kind, n, layers), options)) for n in (1, STEPS))
    assert all_steps["code_bytes"] <= 1.3 * one["code_bytes"]
