"""Decisions that the C is asked for: `verify` builds it once more with these as outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models import Array, Net
from test_control_flow import parsed
from test_verify import Bench

from bnn2c.ir import Graph
from bnn2c.passes.unroll_loops import unroll_loops
from bnn2c.pipeline import Compiled
from bnn2c.toolchain import ObjectSizes, TargetRun
from bnn2c.verify import verify_model
from bnn2c.verify.decisions import Flip, Flips, Record
from bnn2c.verify.evaluate import evaluate, results
from bnn2c.verify.inner import Inner
from bnn2c.verify.runner import run_target
from bnn2c.verify.vectors import Vectors


def hidden_ties(folder: Path) -> tuple[Bench, Array]:
    """Signs of 0.1 k + 0.2 k - 0.3 k, all of them 0 up to rounding, whose sums are only seen through their signs."""
    n, rng = Net(), np.random.default_rng(4)
    sums = n.add("MatMul", n.input([1, 120, 3]), np.float32([[0.1], [0.2], [-0.3]]))
    mixed = n.add("MatMul", n.reshape(n.add("Sign", sums), 1, 120), rng.choice(np.float32([-1, 1]), (120, 31)))
    data = n.model(n.add("Sign", mixed), shape=[1, 120, 3]).SerializeToString()
    feed = np.repeat(rng.integers(1, 4, (1, 120, 1)), 3, axis=2).astype(np.float32)
    return Bench(folder, data), feed


class Rounding:
    """A C that takes every second tie of a graph to the other side."""

    def __init__(self, change: float = 0) -> None:
        self.change = change
        self.graphs: list[Graph] = []

    def __call__(self, compiled: Compiled, target: str, given: Vectors) -> tuple[TargetRun, ObjectSizes]:
        self.graphs.append(compiled.final)
        found = [self.executed(compiled.final, inputs) for inputs in given.inputs]
        return TargetRun(found, None, [], None, 0, True), ObjectSizes(0, 0, 0, ())

    def executed(self, graph: Graph, inputs: list[Array]) -> list[Array]:
        open_ = Flips()
        evaluate(graph, inputs, open_)
        others = {tie.position: tie for tie in open_.ties}
        chosen = [Flip(tie.site, tie.position, tie.value) for place, tie in others.items() if place % 2]
        found = results(graph, evaluate(graph, inputs, Flips(tuple(chosen))))
        found[0][..., 0] += self.change
        return found


@pytest.mark.parametrize(("change", "mismatches"), [(0, 0), (3, 1)])
def test_ties_that_the_outputs_do_not_show(change: float, mismatches: int, tmp_path: Path) -> None:
    bench, feed = hidden_ties(tmp_path)
    np.savez(tmp_path / "v.npz", input=feed)
    run = Rounding(change)
    (found,) = verify_model(bench.compiled, bench.path, ["host"], tmp_path / "v.npz", 0, None, run)["results"]
    assert (found["mismatches"], found["rounding"]) == (mismatches, 1 - mismatches)
    assert len(run.graphs) == 2 and len(run.graphs[1].outputs) > 1


LOOP = """<ir_version: 8, opset_import: ["" : 17]>
    network (float[1,8] x) => (int64[1,1] best) {
        last = Loop<body = turn (int64 trip, bool go, float[1,8] h) => (bool on, float[1,8] next) {
            on = Identity(go)
            signs = Sign(h)
            mixed = MatMul(signs, weights)
            next = Add(mixed, x)
        }>(trips, , x)
        levels = Round(last)
        best = ArgMax<axis = 1>(levels)
    }"""


def test_the_c_gives_the_decisions_of_the_graph(tmp_path: Path) -> None:
    """Thresholds in the steps of a loop, levels and an index, of numbers that are far from ties."""
    rng = np.random.default_rng(0)
    model = parsed(LOOP, weights=rng.standard_normal((8, 8)).astype(np.float32), trips=np.array(6))
    bench = Bench(tmp_path, model.SerializeToString())
    graph, feed = unroll_loops(bench.compiled.final), rng.standard_normal((1, 8)).astype(np.float32)
    record = Record()
    expected = results(graph, evaluate(graph, [feed], record))
    inner = Inner(bench.compiled, "host", Vectors([[feed]], [[feed]]), run_target)
    seen = inner.decided(graph, 0, expected)
    assert len(seen) >= 7
    for site, flat in seen.items():
        np.testing.assert_array_equal(flat, record.decided[site])
    assert not inner.decided(graph, 0, [expected[0] + 1])
