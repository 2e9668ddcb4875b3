"""Products of two packed activations."""

from __future__ import annotations

from pathlib import Path

from harness import Case, bits, check

from bnn2c.ops.binary_mat_mul import BinaryMatMul

SIGNS = BinaryMatMul(1, 2, 1, 2)
MASK_BY_SIGN = BinaryMatMul(1, 1, 1, 2)
SHAPES = [(1, 1, 1, 1, 1), (2, 2, 3, 5, 7), (3, 1, 4, 4, 33), (1, 1, 6, 11, 32), (4, 4, 1, 9, 100)]


def test_two_valued_operands(tmp_path: Path) -> None:
    cases = [Case(op, [bits(b, m, k), bits(r, n, k)]) for op in (SIGNS, MASK_BY_SIGN) for b, r, m, n, k in SHAPES]
    check(cases, tmp_path)


def test_more_levels_and_large_sums(tmp_path: Path) -> None:
    cases = [
        Case(BinaryMatMul(1, 2, 3, 1), [bits(2, 3, 37), bits(1, 4, 37, planes=2)]),
        Case(BinaryMatMul(7, 2, 3, 1), [bits(2, 3, 70, planes=3), bits(2, 2, 70, planes=2)]),
        Case(BinaryMatMul(60, 8, 50, 10), [bits(1, 2, 64, planes=4), bits(1, 2, 64, planes=4)]),
    ]
    check(cases, tmp_path)
