"""Maximum of plain tensors and of packed codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import Case, bits, check, plain

from bnn2c.ir.window import Window
from bnn2c.ops.max_pool import MaxPool

WINDOWS = [
    Window((2, 2), (2, 2)),
    Window((3, 3), (1, 2), (1, 1), (1, 1, 1, 1)),
    Window((2, 3), (1, 1), (2, 2), (1, 0, 2, 3)),
    Window((5, 7)),
]


@pytest.mark.parametrize("storage", ["f32", "i32", "i16", "i8", "u8"])
def test_plain(storage: str, tmp_path: Path) -> None:
    check([Case(MaxPool(w), [plain(5, 7, c, storage=storage)]) for w in WINDOWS for c in (1, 3, 10)], tmp_path)


def test_nan_and_infinity(tmp_path: Path) -> None:
    x = np.array([[[np.nan], [1]], [[-np.inf], [-np.inf]], [[np.inf], [2]]], np.float32)
    check([Case(MaxPool(Window((1, 2))), [plain(3, 2, 1)], [x])], tmp_path)


def test_codes(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    cases = []
    for window in WINDOWS:
        for channels, planes in ((1, 1), (33, 1), (64, 1), (5, 2), (40, 3), (100, 4)):
            for mask in (np.zeros(channels, bool), np.ones(channels, bool), rng.random(channels) < 0.5):
                cases.append(Case(MaxPool(window, mask), [bits(5, 7, channels, planes=planes)]))
    check(cases, tmp_path)
