"""The search for decisions near ties, and the error bounds that say which decisions are near."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from models import Array, Net, compiled

from bnn2c.expr import Arg, apply, const
from bnn2c.ir import Graph, Op
from bnn2c.ir.window import Window
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.reduce import Reduce
from bnn2c.ops.softmax import Softmax
from bnn2c.verify.bounded import Bounded
from bnn2c.verify.compare import Target, Tolerance
from bnn2c.verify.decisions import Flip, Flips
from bnn2c.verify.evaluate import evaluate, results
from bnn2c.verify.expressions import evaluate_bounded
from bnn2c.verify.op_errors import error_of
from bnn2c.verify.search import search

OUTPUT = [Tolerance("y", False, 1e-5)]


def executed(graph: Graph, feeds: list[Array], flips: Sequence[Flip] = ()) -> tuple[list[Array], list[Flip]]:
    """The outputs with these flips, and the ties that are left."""
    decide = Flips(tuple(flips))
    return results(graph, evaluate(graph, feeds, decide)), decide.ties


def on_ties(seed: int, ties: int) -> tuple[Graph, list[Array]]:
    """Signs of 0.1 k + 0.2 k - 0.3 k, of which `ties` of 24 are 0 up to rounding; an output sees three of them."""
    n, rng = Net(), np.random.default_rng(seed)
    decided = n.add("Sign", n.add("MatMul", n.input([1, 24, 3]), np.float32([[0.1], [0.2], [-0.3]])))
    near = np.array([[0 <= i - j < 3 for j in range(22)] for i in range(24)])
    seen = n.add("MatMul", n.reshape(decided, 1, 24), 2 * rng.standard_normal((24, 22)) * near)
    feed = np.repeat(rng.integers(1, 4, (1, 24, 1)), 3, axis=2).astype(np.float32)
    feed[0, ties:, 0] += 1
    return compiled(n.model(n.add("Sigmoid", seen))).imported, [feed]


@pytest.mark.parametrize("seed", range(8))
def test_flips_whose_effects_overlap_are_found(seed: int) -> None:
    """A third of 6 signs is 0, a third the other one: flips that look good alone must be taken back."""
    graph, feeds = on_ties(seed, 6)
    own, ties = executed(graph, feeds)
    places = {tie.position for tie in ties}
    assert len(places) == 6
    rng = np.random.default_rng(seed)
    chosen = [rng.choice([tie for tie in ties if tie.position == place]) for place in places if rng.random() < 2 / 3]
    target, _ = executed(graph, feeds, chosen)
    flips = search(graph, feeds, Target(target, OUTPUT))
    assert flips is not None
    found, _ = executed(graph, feeds, flips)
    np.testing.assert_allclose(found[0], target[0], atol=1e-5)
    wrong = [np.where(np.arange(22) == 20, 1 - own[0], target[0])]  # no tie reaches the output 20
    assert search(graph, feeds, Target(wrong, OUTPUT)) is None


def test_decisions_of_exact_arithmetic_are_tried_at_once() -> None:
    """`(|x| - |x - a| + a) / 2` is x clipped to [0, a]; of 300 numbers near 1e7 float32 makes other whole numbers."""
    n, a = Net(), np.float32(1.7)
    x = n.input([1, 300])
    clipped = n.add("Add", n.add("Sub", n.add("Abs", x), n.add("Abs", n.add("Sub", x, a))), a)
    levels = n.add("Round", n.add("Mul", n.add("Mul", clipped, 0.5), np.float32(15 / 1.7)))
    rng = np.random.default_rng(1)
    graph = compiled(n.model(n.add("MatMul", levels, rng.standard_normal((300, 4))))).imported
    feeds = [rng.uniform(-2e7, 2e7, (1, 300)).astype(np.float32)]
    exact = np.rint(np.clip(feeds[0], 0, a) * np.float32(15 / 1.7))
    target = [(exact.astype(np.float64) @ n.constants[n.nodes[-1].input[1]]).astype(np.float32)]
    allowed = [Tolerance("y", False, 1e-5 * float(np.abs(target[0]).max()))]
    own, _ = executed(graph, feeds)
    assert Target(target, allowed).apart(own).any()
    flips = search(graph, feeds, Target(target, allowed))
    assert flips is not None and len(flips) > 20
    assert search(graph, feeds, Target([target[0] + np.float32([0, 0, 99, 0])], allowed)) is None


@pytest.mark.parametrize(("fn", "number", "limit"), [("min", 1e6, 32.0), ("max", -1e6, -32.0), ("relu", -9.0, None)])
def test_a_clipped_number_has_no_error(fn: str, number: float, limit: float | None) -> None:
    x = Bounded(np.full((1, 1, 1), number, np.float32), np.full((1, 1, 1), 2.0))
    operands = [Arg(0)] if limit is None else [Arg(0), const(limit)]
    assert evaluate_bounded(apply(fn, *operands), [x], "y", Flips()).error.max() == 0
    near = Bounded(x.value * 0 + np.float32(limit or 0.0), x.error)
    assert evaluate_bounded(apply(fn, *operands), [near], "y", Flips()).error.max() == 2


@pytest.mark.parametrize(
    ("op", "bound"),
    [
        (MaxPool(Window((1, 3), (1, 3))), 0.5),
        (Reduce("max"), 0.5),
        (Softmax(False), 0.12),
        (Softmax(True), 0.18),
    ],
)
def test_numbers_that_lose_leave_their_error_behind(op: Op, bound: float) -> None:
    """9 +- 0.5 beside -1e38 +- 1e31 and 8 +- 0.01: what could be, by trying the ends; and not much more."""
    values, errors = np.float32([9, -1e38, 8]), np.array([0.5, 1e31, 0.01])
    shape = (1, 1, 3) if isinstance(op, Softmax) else (1, 3, 1)
    x = Bounded(values.reshape(shape), errors.reshape(shape))
    value = op.reference(x.value)
    error = error_of(op, [x], value)
    for k in range(8):
        end = (values + errors * [1 if k >> j & 1 else -1 for j in range(3)]).reshape(shape)
        gap = np.abs(op.reference(end).astype(np.float64) - value)
        assert (gap <= error * (1 + 1e-6) + 1e-6).all()
    assert error.ravel()[0] <= bound


@pytest.mark.parametrize("logarithm", [False, True])
def test_logits_of_which_nothing_is_known_may_give_any_probability(logarithm: bool) -> None:
    """3 +- 1e4 beside 0 and -2: from 0 to 1; the others' part is too small for a float64 at one end."""
    x = Bounded(np.float32([[[3, 0, -2]]]), np.array([[[1e4, 0.0, 0.0]]]))
    op = Softmax(logarithm)
    value = op.reference(x.value)
    error = error_of(op, [x], value).ravel()
    for logit in (3 - 1e4, 3 + 1e4):
        end = op.reference(np.array([[[logit, 0.0, -2.0]]]))
        assert (np.abs(end - value).ravel() <= error * (1 + 1e-6)).all()
    assert logarithm or error.max() < 1
