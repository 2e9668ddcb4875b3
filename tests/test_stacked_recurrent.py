"""Recurrent layers on top of each other, and behind convolutions: one loop a layer or a step, and streams of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from sequence_models import Onnx
from test_sequences import check, kinds
from test_streaming import both

STEPS, FEATURES, HIDDEN = 7, 6, 10
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def stacked_operators(op: str, layers: int) -> onnx.ModelProto:
    """Operators over [time, 1, features], each reading all states of the one below."""
    g, x, size = Onnx(21), "x", FEATURES
    for layer in range(layers):
        weights = [g.constant(g.signs(1, GATES[op] * HIDDEN, n)) for n in (size, HIDDEN)]
        y = g(op, x, *weights, g.constant(g.normal(1, 2 * GATES[op] * HIDDEN)), hidden_size=HIDDEN)
        last = {"name": "y"} if layer == layers - 1 else {}
        x, size = g("Squeeze", y, g.constant(np.array([1])), **last), HIDDEN
    return g.model({"x": [STEPS, 1, FEATURES]}, {"y": [STEPS, 1, HIDDEN]})


def row(g: Onnx, t: int) -> str:
    """Frame t of x, [1, features]."""
    start, end, one = (g.constant(np.array([n])) for n in (t, t + 1, 1))
    return g("Squeeze", g("Slice", "x", start, end, one), one)


def over_time(g: Onnx, states: list[str]) -> onnx.ModelProto:
    """All states, [1, time, hidden], as the output."""
    parts = [g("Unsqueeze", state, g.constant(np.array([1]))) for state in states]
    g("Concat", *parts, axis=1, name="y")
    return g.model({"x": [1, STEPS, FEATURES]}, {"y": [1, STEPS, HIDDEN]})


def stacked_cells(by_steps: bool) -> onnx.ModelProto:
    """Two layers of tanh cells from zeros, whose first products are left out; written step by step or by layer."""
    g = Onnx(22)
    weights = [[g.constant(g.signs(n, HIDDEN)) for n in (size, HIDDEN)] for size in (FEATURES, HIDDEN)]
    bias = [g.constant(g.normal(HIDDEN)) for _ in weights]
    found: dict[tuple[int, int], str] = {}
    places = [(t, k) for t in range(STEPS) for k in range(2)]
    for t, k in places if by_steps else sorted(places, key=lambda place: place[1]):
        x = row(g, t) if k == 0 else found[t, 0]
        sums = g("Add", g("MatMul", x, weights[k][0]), bias[k])
        found[t, k] = g("Tanh", g("Add", sums, g("MatMul", found[t - 1, k], weights[k][1])) if t else sums)
    return over_time(g, [found[t, 1] for t in range(STEPS)])


def simple_recurrent_units() -> onnx.ModelProto:
    """Gates that read the cell only by element, from zeros: `c = f c + (1 - f) z`, `h = r tanh(c) + (1 - r) z`."""
    g, size = Onnx(23), HIDDEN
    one = g.constant(1.0)
    weights, peep = g.constant(g.signs(FEATURES, 3 * size)), [g.constant(g.normal(size)) for _ in range(2)]
    c, states = g.constant(np.zeros((1, size), np.float32)), []
    for t in range(STEPS):
        z = g("Split", g("MatMul", row(g, t), weights), g.constant(np.array([size] * 3)), outputs=3, axis=1)
        f, r = (g("Sigmoid", g("Add", f"{z}_{k + 1}", g("Mul", peep[k], c))) for k in range(2))
        c = g("Add", g("Mul", f, c), g("Mul", g("Sub", one, f), z))
        states.append(g("Add", g("Mul", r, g("Tanh", c)), g("Mul", g("Sub", one, r), z)))
    return over_time(g, states)


def behind_a_convolution() -> onnx.ModelProto:
    """A bidirectional GRU whose two directions read the signs of a convolution's results."""
    g, channels = Onnx(24), 16
    x = g("Conv", "x", g.constant(g.normal(channels, FEATURES, 3)), g.constant(g.normal(channels)))
    x = g("Transpose", g.sign_of(x), perm=[2, 0, 1])
    weights = [g.constant(g.signs(2, 3 * HIDDEN, n)) for n in (channels, HIDDEN)]
    bias = g.constant(g.normal(2, 6 * HIDDEN))
    g("GRU", x, *weights, bias, hidden_size=HIDDEN, direction="bidirectional", linear_before_reset=1, name="y")
    return g.model({"x": [1, FEATURES, STEPS + 2]}, {"y": [STEPS, 2, 1, HIDDEN]})


@pytest.mark.parametrize(("op", "layers"), [("RNN", 2), ("RNN", 3), ("GRU", 2), ("LSTM", 2)])
def test_stacked_operators_are_streamed(op: str, layers: int, tmp_path: Path) -> None:
    both(stacked_operators(op, layers), tmp_path, axis=0)


@pytest.mark.parametrize("by_steps", [True, False])
def test_stacked_cells_are_streamed(by_steps: bool, tmp_path: Path) -> None:
    both(stacked_cells(by_steps), tmp_path, axis=1)


def test_units_whose_cells_are_read_by_element(tmp_path: Path) -> None:
    compiled = check(simple_recurrent_units(), tmp_path)
    assert kinds(compiled).count("loop") >= 1


def test_signs_that_two_directions_read_are_made_once(tmp_path: Path) -> None:
    compiled = check(behind_a_convolution(), tmp_path)
    assert kinds(compiled).count("loop") == 2
    assert kinds(compiled).count("quantize") <= 1
    assert len(compiled.manifest["layers"]) < STEPS + 5
