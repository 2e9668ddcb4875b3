"""Both directions of a written-out network read what is computed once of each frame, such as its code."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from sequence_models import Onnx
from test_sequences import check
from test_whole_last_steps import FEATURES, GATES, HIDDEN, STEPS, cell

from bnn2c.bench import bench_model
from bnn2c.options import Options
from bnn2c.pipeline import compile_model


def two_directions(kind: str, steps: int, layers: int = 1, shared: str = "code") -> onnx.ModelProto:
    """Layers of binarised cells in both directions.

    What both read of a frame, its sign or that of its LayerNormalization, is computed once.
    """
    g, inputs, x, width = Onnx(9), {"x": [1, steps, FEATURES]}, "x", FEATURES
    for layer in range(layers):
        frames = [g("Gather", x, g.constant(t), axis=1) for t in range(steps)]
        if shared == "norm":
            frames = [g("LayerNormalization", f, g.constant(g.normal(width) * 0 + 1.5), axis=-1) for f in frames]
        codes = [g.sign_of(f) for f in frames]
        ways = []
        for way, order in (("f", range(steps)), ("b", range(steps - 1, -1, -1))):
            state = {"h": f"hidden{layer}{way}", "c": f"cell{layer}{way}"}
            inputs |= {name: [1, HIDDEN] for name in list(state.values())[: 1 + (kind == "lstm")]}
            ways.append(direction(g, kind, {t: codes[t] for t in order}, width, state))
        x, width = g("Concat", *ways, axis=2), 2 * HIDDEN
    g("MatMul", x, g.constant(g.signs(width, 5)), name="y")
    return g.model(inputs, {"y": [1, steps, 5]})


def direction(g: Onnx, kind: str, codes: dict[int, str], width: int, state: dict[str, str]) -> str:
    """One direction over the frames, in their order; the states lie in the order of time."""
    gates = GATES[kind] * HIDDEN
    wx, wh, bias = g.constant(g.signs(width, gates)), g.constant(g.signs(HIDDEN, gates)), g.constant(g.normal(gates))
    rows = {}
    for t, code in codes.items():
        given, kept = g("Add", g("MatMul", code, wx), bias), g("MatMul", g.sign_of(state["h"]), wh)
        state = state | cell(g, kind, given, kept, state)
        rows[t] = g("Unsqueeze", state["h"], g.constant([1]))
    return g("Concat", *(rows[t] for t in sorted(rows)), axis=1)


@pytest.mark.parametrize("shared", ["code", "norm"])
@pytest.mark.parametrize("kind", list(GATES))
def test_both_directions_are_loops(kind: str, shared: str, tmp_path: Path) -> None:
    compiled = check(two_directions(kind, STEPS, shared=shared), tmp_path, 3)
    loops = [layer["kernel"] for layer in compiled.manifest["layers"] if layer["op"] == "loop"]
    assert loops == [f"loop of {STEPS} steps"] * len(loops)
    assert len(loops) >= 2
    products = [layer for layer in compiled.manifest["layers"] if layer["op"].endswith("conv2d")]
    assert len(products) == 1, "the head"


@pytest.mark.cross
@pytest.mark.parametrize("layers", [1, 2])
def test_all_steps_take_the_code_of_one(layers: int) -> None:
    options = Options(name="net", target="cortex-m4")
    one, all_steps = (bench_model(compile_model(two_directions("gru", n, layers), options)) for n in (1, STEPS))
    assert all_steps["code_bytes"] <= 1.3 * one["code_bytes"]
