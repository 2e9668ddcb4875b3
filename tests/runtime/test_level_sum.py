"""Sums of packed codes."""

from __future__ import annotations

from pathlib import Path

from harness import Case, bits, check

from bnn2c.ops.level_sum import LevelSum


def test_level_sum(tmp_path: Path) -> None:
    shapes = [(1, 1, 1, 1), (2, 5, 33, 1), (1, 16, 96, 1), (3, 7, 40, 2), (1, 9, 64, 4), (1, 5000, 3, 4)]
    check([Case(LevelSum(), [bits(a, r, d, planes=p)]) for a, r, d, p in shapes], tmp_path)
