"""Joining along each axis, plain and packed."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import Case, bits, check, plain

from bnn2c.ops.concat import Concat


def parts(axis: int, *sizes: int) -> list[tuple[int, int, int]]:
    found = []
    for size in sizes:
        shape = [2, 3, 5]
        shape[axis] = size
        found.append((shape[0], shape[1], shape[2]))
    return found


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_plain(axis: int, tmp_path: Path) -> None:
    storages = ("f32", "i32", "i16", "i8", "u8")
    check([Case(Concat(axis), [plain(*s, storage=t) for s in parts(axis, 1, 4, 2)]) for t in storages], tmp_path)


def test_bits(tmp_path: Path) -> None:
    cases = [Case(Concat(axis), [bits(*s, planes=p) for s in parts(axis, 1, 4, 2)]) for axis in (0, 1) for p in (1, 2)]
    channels = [(1, 1), (32, 64, 5), (5, 3, 24, 33), (31, 33), (7, 60, 64, 1), (100, 100), (1, 31, 32), (8, 8)]
    cases += [Case(Concat(2), [bits(*s, planes=p) for s in parts(2, *c)]) for c in channels for p in (1, 3)]
    check(cases, tmp_path)
