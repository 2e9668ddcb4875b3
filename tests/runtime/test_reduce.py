"""Reductions of the middle axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import Case, check, plain

from bnn2c.ops.reduce import Reduce


def test_reduce(tmp_path: Path) -> None:
    shapes = [(1, 1, 1), (1, 9, 1), (3, 1, 5), (4, 7, 3), (1, 49, 33)]
    cases = [Case(Reduce(f), [plain(*s)]) for f in ("sum", "mean", "max", "min", "prod") for s in shapes]
    check(cases, tmp_path)


@pytest.mark.parametrize("function", ["max", "min"])
def test_nan_is_handed_on(function: str, tmp_path: Path) -> None:
    x = np.array([[[1, np.nan, np.inf], [np.nan, 2, -np.inf], [3, 4, 5]]], np.float32)
    check([Case(Reduce(function), [plain(1, 3, 3)], [x])], tmp_path)
