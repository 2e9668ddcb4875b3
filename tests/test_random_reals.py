"""Random networks in fixed point: C = integer graph bit for bit, as near to real arithmetic as is documented."""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from random_reals import real_network

sys.path.insert(0, str(Path(__file__).resolve().parent / "fuzz"))

import graphs
from fixed_point_oracle import signed_errors

BUDGET, BATCH = 100, 10
REALS = ("int16", "int8")
ROUNDED = ("map", "conv2d", "sign_conv2d", "mat_mul", "average_pool", "to_fixed")


@pytest.mark.parametrize("real", REALS)
def test_integers_are_near_to_real_numbers(real: str) -> None:
    found = {n: list(graphs.fixed_differences(*real_network(n), real, build=False)) for n in range(16)}
    assert {number: problems for number, problems in found.items() if problems} == {}


def test_nothing_is_rounded_down(tmp_path: Path) -> None:
    """An error of half a unit is within what rounding may cost, but not in the mean."""
    errors = defaultdict(list)
    for number in range(100, 120):
        model, vectors = real_network(number)
        by = graphs.fixed_stages(model, vectors, "int16", tmp_path)
        for kind, found in (signed_errors(by, vectors[0]) if by else {}).items():
            errors[kind] += found
    means = {kind: float(np.concatenate([np.ravel(x) for x in errors[kind]]).mean()) for kind in ROUNDED}
    assert {kind: mean for kind, mean in means.items() if abs(mean) > 0.15} == {}


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, BUDGET, BATCH))
def test_fixed_budget(first: int) -> None:
    found = {n: list(graphs.fixed_differences(*real_network(n), REALS[n % 2])) for n in range(first, first + BATCH)}
    assert {number: problems for number, problems in found.items() if problems} == {}


def test_stored_networks() -> None:
    """Networks that were too far off once."""
    jobs = graphs.stored_reals()
    found = {name: list(graphs.fixed_differences(model, vectors, real)) for name, model, vectors, real in jobs}
    assert {name: problems for name, problems in found.items() if problems} == {}


@pytest.mark.parametrize("number", [3, 14])
def test_a_stored_network_is_the_one_that_was_found(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "REGRESSIONS", tmp_path)
    graphs.store_real(number, "int8")
    ((name, model, vectors, real),) = graphs.stored_reals()
    assert (name, real) == (f"int8-{number}", "int8")
    wanted, rows = real_network(number)
    assert model == wanted
    for row, kept in zip(rows, vectors, strict=True):
        for one, two in zip(row, kept, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.fuzz
@pytest.mark.parametrize("block", range(int(os.environ.get("N", "5000")) // 100))
def test_campaign(block: int) -> None:
    """`make fuzz N=10000`; the networks that are too far off become regression tests."""
    first = int(os.environ.get("BNN2C_FUZZ_FIRST", str(int(time.time()) % 10**6 * 1000))) + 100 * block
    jobs = [(number, REALS[number % 2]) for number in range(first, first + 100)]
    found = {job: list(graphs.fixed_differences(*real_network(job[0]), job[1])) for job in jobs}
    bad = {job: problems for job, problems in found.items() if problems}
    assert bad == {}, [graphs.store_real(*job) for job in bad]
