"""What all tests share: a skipped cross test is a failure where the toolchains are promised."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With BNN2C_REQUIRE_CROSS=1 (in CI) a test marked `cross` that is skipped counts as failed."""
    report = yield
    required = os.environ.get("BNN2C_REQUIRE_CROSS") == "1" and item.get_closest_marker("cross")
    if required and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"BNN2C_REQUIRE_CROSS=1, but this test was skipped: {report.longrepr}"
    return report
