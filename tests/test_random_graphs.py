"""Random graphs through the whole oracle chain: onnxruntime = imported graph = final graph = C here = C under QEMU."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from random_graphs import network, networks

sys.path.insert(0, str(Path(__file__).resolve().parent / "fuzz"))

import graphs

from bnn2c.targets import load_target
from bnn2c.toolchain import ToolchainMissing, require_tools

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
BUDGET, BATCH = 300, 20


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=QUIET, database=None)
@given(networks())
def test_random_graphs(model: onnx.ModelProto) -> None:
    """These shrink when they fail."""
    assert list(graphs.differences(model, "balanced")) == []


@pytest.mark.parametrize("first", range(0, BUDGET, BATCH))
def test_fixed_budget(first: int) -> None:
    found = [
        (number, problem)
        for number in range(first, first + BATCH)
        for problem in graphs.differences(network(number), graphs.OPTIMIZE[number % 3])
    ]
    assert found == []


@pytest.mark.cross
@pytest.mark.parametrize("first", [0, 20])
@pytest.mark.parametrize("target", graphs.TARGETS)
def test_on_a_small_and_on_a_big_endian_processor(target: str, first: int) -> None:
    try:
        require_tools(load_target(target))
    except ToolchainMissing as error:
        pytest.skip(str(error))
    assert list(graphs.on_target([network(number) for number in range(first, first + BATCH)], target)) == []


def test_stored_networks() -> None:
    """Networks that differed once."""
    jobs = [(path, optimize) for path in graphs.stored() for optimize in graphs.OPTIMIZE]
    found = {(path.stem, optimize): list(graphs.differences(onnx.load(path), optimize)) for path, optimize in jobs}
    assert {job: problems for job, problems in found.items() if problems} == {}


@pytest.mark.fuzz
@pytest.mark.parametrize("block", range(int(os.environ.get("N", "5000")) // 100))
def test_campaign(block: int) -> None:
    """`make fuzz N=10000`; the networks that differ become regression tests."""
    first = int(os.environ.get("BNN2C_FUZZ_FIRST", str(int(time.time()) % 10**6 * 1000))) + 100 * block
    found = list(graphs.campaign(range(first, first + 100)))
    assert found == [], [graphs.store(number) for number in {number for number, _ in found}]
