"""Products of two activations."""

from __future__ import annotations

from pathlib import Path

from harness import Case, check, plain

from bnn2c.ops.mat_mul import MatMul


def test_mat_mul(tmp_path: Path) -> None:
    shapes = [(1, 1, 1, 1, 1), (2, 2, 3, 5, 7), (3, 1, 4, 4, 33), (1, 1, 6, 11, 2), (4, 4, 1, 9, 100)]
    check([Case(MatMul(), [plain(b, m, k), plain(r, n, k)]) for b, r, m, n, k in shapes], tmp_path)
