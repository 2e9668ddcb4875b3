"""Rows of a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from harness import Case, check, plain

from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.ops.embedding import Embedding


def test_embedding(tmp_path: Path) -> None:
    table = np.random.default_rng(6).standard_normal((9, 5)).astype(np.float32)
    cases = []
    for storage in ("i32", "i16", "i8", "u8", "f32"):
        low = 0 if storage == "u8" else -100
        ids = np.array([0, 8, 9, 100, *([-1, -9, -10, low] if low else [1, 2, 3, 4])]).reshape(1, 2, 4)
        op, kind = Embedding(table), plain(1, 2, 4, storage=storage)
        cases.append(Case(op, [kind], [ids.astype(NUMPY_TYPES[storage])]))
    numbers = np.arange(-22, 23).reshape(9, 5)
    cases += [
        Case(Embedding(numbers.astype(kind)), [plain(1, 1, 2)], [np.ones((1, 1, 2), np.float32)]) for kind in "hbB"
    ]
    codes = np.random.default_rng(7).integers(0, 4, (9, 37)).astype(np.uint8)
    ids = np.array([[[0, 8, -1, 100, 3]]], np.int32)
    cases += [Case(Embedding(codes >> (2 - p), p), [plain(1, 1, 5, storage="i32")], [ids]) for p in (1, 2)]
    fractions = np.array([[[2.75, -0.5, -1.5, 1e9, -1e9, 8.99]]], np.float32)
    check([*cases, Case(Embedding(table), [plain(1, 1, 6)], [fractions])], tmp_path)
