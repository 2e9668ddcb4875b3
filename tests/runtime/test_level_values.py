"""Integers that packed codes stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import Case, bits, check

from bnn2c.ops.level_values import LevelValues


@pytest.mark.parametrize("storage", ["u8", "i8", "i16", "i32", "f32"])
def test_level_values(storage: str, tmp_path: Path) -> None:
    shapes = [(1, 1, 1, 1), (2, 5, 33, 1), (1, 16, 96, 2)]
    rows = np.random.default_rng(1).integers(0, 100, (33, 4))
    cases = [
        *(Case(LevelValues(rows[:1, : 1 << p], storage), [bits(h, w, c, planes=p)]) for h, w, c, p in shapes),
        Case(LevelValues(np.arange(16)[None, ::-1], storage), [bits(3, 7, 40, planes=4)]),
        Case(LevelValues(rows, storage), [bits(2, 5, 33, planes=2)]),
        Case(LevelValues(rows[:1, :2], storage, (5, 3, 11)), [bits(5, 1, 33)]),
    ]
    check(cases, tmp_path)


def test_missing_codes_are_filled() -> None:
    table = LevelValues(np.array([[1, 0, -1]]), "i8").constants([bits(1, 1, 8, planes=2)])["table"]
    assert table.tolist() == [[1, 0, -1, -1]]
