"""Decisions in the bodies of loops, which `verify` sees as additional results of the reference's loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from test_control_flow import parsed
from test_verify import Bench

LOOP = """
    last = Loop<body = turn (int64 trip, bool go, float[1,4] h) => (bool on, float[1,4] next) {
        on = Identity(go)
        signs = Sign(h)
        next = MatMul(signs, weights)
    }>(trips, , x)"""
SCAN = """
    last = Scan<num_scan_inputs = 1, scan_input_axes = [1], body = turn
        (float[1,4] h, float[1] frame) => (float[1,4] next) {
            signs = Sign(h)
            next = MatMul(signs, weights)
        }>(x, frames)"""
NESTED = """
    last = Loop<body = outer (int64 number, bool go, float[1,4] h) => (bool on, float[1,4] next) {
        on = Identity(go)
        next = Loop<body = inner (int64 trip, bool go2, float[1,4] h2) => (bool on2, float[1,4] next2) {
            on2 = Identity(go2)
            signs = Sign(h2)
            next2 = MatMul(signs, weights)
        }>(once, , h)
    }>(trips, , x)"""
EARLY = """
    last = Loop<body = turn (int64 trip, bool go, float[1,4] h) => (bool on, float[1,4] next) {
        signs = Sign(h)
        next = MatMul(signs, weights)
        low = ReduceMin<keepdims = 0>(next)
        on = Greater(low, limit)
    }>(many, go0, x)"""


SMALL = 3 * 2.0**-25


def bench(text: str, folder: Path) -> Bench:
    """Steps of `h = sign(h) weights`, where 1 + SMALL - 1 - SMALL is 0 or 2**-25; exact signs behind them say which."""
    model = parsed(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        network (float[1,4] x) => (float[1,4] y) {{ {text}
            y = Sign(last) }}""",
        weights=np.float32([[1, 1, 0, 0], [SMALL, 0, 1, 0], [-1, 0, 1, 0], [-SMALL, 0, 0, 1]]),
        trips=np.array(2),
        once=np.array(1),
        many=np.array(5),
        go0=np.array(True),
        limit=np.float32(-0.05),
        frames=np.zeros((1, 2), np.float32),
    )
    used = {name for name in ("trips", "once", "many", "go0", "limit", "frames", "weights") if name in text}
    kept = [one for one in model.graph.initializer if one.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return Bench(folder, onnx.shape_inference.infer_shapes(model).SerializeToString())


@pytest.mark.parametrize("text", [LOOP, SCAN, NESTED, EARLY], ids=["loop", "scan", "nested", "early"])
def test_a_tie_in_the_body_of_a_loop(text: str, tmp_path: Path) -> None:
    network, x = bench(text, tmp_path), np.float32([[1, 1, 1, 1], [1, 1, -1, 1]])
    found = network.verify(input=x)
    assert found["mismatches"] == 0 and found["rounding"] > 0
    wrong = network.verify(lambda i, y: [y[0] + np.float32([[0, 0, 0, 1]])], input=x)
    assert wrong["mismatches"] == 2, "the last sum is exact"
