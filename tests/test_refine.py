"""A monotone chain that is evaluated only where it changes gives what its evaluation on the whole domain gives."""

from __future__ import annotations

import numpy as np
import pytest

from bnn2c.analysis import refine
from bnn2c.analysis.steps import Steps
from bnn2c.analysis.tabulate import tabulate
from bnn2c.expr import Apply, Arg, Expr, apply, const

CHANNELS = 6
DOMAIN = np.arange(-12_000, 12_001)


def numbers(rng: np.random.Generator, low: float, high: float) -> Expr:
    """One constant per channel."""
    return const(rng.uniform(low, high, (1, 1, CHANNELS)).astype(np.float32))


def clipped(expr: Expr, low: float, high: float) -> Expr:
    return apply("min", apply("max", expr, const(low)), const(high))


def chain(rng: np.random.Generator) -> Expr:
    """A few affine operators, and a step function behind them."""
    expr: Expr = Arg(0)
    for kind in rng.integers(0, 6, rng.integers(1, 5)):
        expr = [
            lambda e: apply("mul", e, numbers(rng, -0.01, 0.01)),
            lambda e: apply("add", e, numbers(rng, -30, 30)),
            lambda e: apply("div", e, numbers(rng, -1, 1)),
            lambda e: apply("sub", numbers(rng, -30, 30), e),
            lambda e: apply("max", e, const(-200.0)),
            lambda e: apply("neg", e),
        ][kind](expr)
    ends = [
        lambda e: apply("sign", e),
        lambda e: apply("ge", e, numbers(rng, -3, 3)),
        lambda e: clipped(apply("round", apply("mul", e, numbers(rng, 0, 0.01))), 0, 7),
        lambda e: apply("add", apply("mul", apply("sign", e), numbers(rng, -1, 1)), numbers(rng, -1, 1)),
        lambda e: apply("where", apply("le", e, numbers(rng, -3, 3)), numbers(rng, -1, 0), numbers(rng, 0, 1)),
        lambda e: clipped(apply("floor", apply("div", e, numbers(rng, 0, 100))), -3, 3),
    ]
    return ends[rng.integers(0, len(ends))](expr)


def both_ways(expr: Expr, monkeypatch: pytest.MonkeyPatch, domain: np.ndarray = DOMAIN) -> tuple[Steps, Steps]:
    """By refinement, and number by number."""
    found = tabulate(expr, domain, (1, 1, CHANNELS))
    with monkeypatch.context() as patch:
        patch.setattr(refine, "_SMALL", len(domain))
        whole = tabulate(expr, domain, (1, 1, CHANNELS))
    assert found is not None and whole is not None
    return found, whole


def assert_equal(found: Steps, whole: Steps) -> None:
    np.testing.assert_array_equal(found.breaks, whole.breaks)
    np.testing.assert_array_equal(found.values, whole.values)
    assert (found.evaluated, found.sensitive, found.rounding) == (whole.evaluated, whole.sensitive, whole.rounding)


@pytest.mark.parametrize("seed", range(60))
def test_random_chains(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expr = chain(np.random.default_rng(seed))
    assert refine.is_monotone(expr)
    assert_equal(*both_ways(expr, monkeypatch))


@pytest.mark.parametrize("end", ["sign", "ge"])
def test_ties_of_float32_are_counted(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """x / 10 - k / 10 in float32 is not 0 where it is in float64, or the other way round."""
    rng = np.random.default_rng(1)
    zero = const((rng.integers(-9_000, 9_000, (1, 1, CHANNELS)) / np.float32(10)).astype(np.float32))
    middle = apply("sub", apply("mul", Arg(0), const(0.1)), zero)
    expr = apply("sign", middle) if end == "sign" else apply("ge", middle, const(0.0))
    found, whole = both_ways(expr, monkeypatch)
    assert_equal(found, whole)
    assert whole.sensitive > 0


def test_a_stretch_that_float32_decides_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside 2^24 a millionth is lost: half of a channel's numbers are sensitive, not only those near a change."""
    offset = const(np.array([0, 2**24, 0, 0, 0, 0], np.float32).reshape(1, 1, CHANNELS))
    expr = apply("gt", apply("add", apply("mul", Arg(0), const(1e-6)), offset), offset)
    found, whole = both_ways(expr, monkeypatch)
    assert_equal(found, whole)
    assert whole.sensitive == DOMAIN.max()


@pytest.mark.parametrize("factor", [0.0, 1.0])
def test_infinities(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond 3.4e38 numbers are infinite, and NaN times 0, which no number is greater than."""
    expr = apply("ge", apply("mul", apply("mul", Arg(0), const(1e36)), const(factor)), const(-1.0))
    found, whole = both_ways(expr, monkeypatch)
    assert_equal(found, whole)
    assert refine.places(expr, DOMAIN, (1, 1, 1)) is None
    assert whole.breaks.shape[-1] == (2 if factor == 0 else 1)


def test_few_numbers_are_looked_at() -> None:
    expr = apply("ge", apply("mul", Arg(0), const(0.5)), const(np.float32(77.0)))
    chosen = refine.places(expr, DOMAIN, (1, 1, 1))
    assert chosen is not None and chosen.shape[-1] < 400
    assert (chosen[0, 0, 0, 0], chosen[0, 0, 0, -1]) == (0, len(DOMAIN) - 1)


@pytest.mark.parametrize(
    "expr",
    [
        apply("abs", Arg(0)),
        apply("mul", Arg(0), Arg(0)),
        apply("div", const(1.0), Arg(0)),
        apply("tanh", Arg(0)),
        apply("where", Arg(0), const(1.0), const(2.0)),
        Apply("eq", (Arg(0), const(1.0))),
    ],
)
def test_what_is_not_shown_to_be_monotone(expr: Expr) -> None:
    assert not refine.is_monotone(expr)
