"""Softmax and its logarithm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from harness import Case, check, plain

from bnn2c.ops.softmax import Softmax


def test_softmax(tmp_path: Path) -> None:
    large = np.array([[[1000, 999, -1000, 0]]], np.float32)
    cases = [Case(Softmax(log), [plain(*s)]) for log in (False, True) for s in ((1, 1, 1), (1, 1, 10), (3, 2, 7))]
    check(cases + [Case(Softmax(log), [plain(1, 1, 4)], [large]) for log in (False, True)], tmp_path)
