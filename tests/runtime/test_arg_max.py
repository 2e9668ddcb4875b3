"""Index of the winner, with ties and NaN."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
from harness import Case, check, plain

from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.ops.arg_max import ArgMax

OPS = [ArgMax(last, smallest) for last, smallest in product((False, True), repeat=2)]


def test_arg_max(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    cases = []
    for op, storage in product(OPS, ("f32", "i32", "i16", "i8", "u8")):
        ties = rng.integers(0, 3, (5, 3, 6)).astype(NUMPY_TYPES[storage])
        cases += [Case(op, [plain(5, 3, 6, storage=storage)], [ties]), Case(op, [plain(2, 1, 11, storage=storage)])]
    check([*cases, Case(OPS[0], [plain(1, 1, 1)])], tmp_path)


def test_nan_wins(tmp_path: Path) -> None:
    x = np.array([[[1, np.nan, 3, np.nan, 2], [np.nan, 0, 1, 2, 3], [1, 2, 3, 2, np.nan]]], np.float32)
    check([Case(op, [plain(1, 3, 5)], [x]) for op in OPS], tmp_path)
