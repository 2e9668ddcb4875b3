"""Average pooling with every way of counting padding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from harness import Case, check, plain

from bnn2c.ir.window import Window
from bnn2c.ops.average_pool import AveragePool


def pool(window: Window, size: tuple[int, int], channels: int, include_pad: bool) -> Case:
    rows, cols = window.valid_taps(*size)
    inside = np.outer(rows.sum(1), cols.sum(1)).astype(np.float32)
    whole = np.full((1, 1), window.kernel[0] * window.kernel[1], np.float32)
    return Case(AveragePool(window, whole if include_pad else np.maximum(inside, 1)), [plain(*size, channels)])


def test_average_pool(tmp_path: Path) -> None:
    windows = [
        Window((2, 2), (2, 2)),
        Window((3, 3), (1, 2), (1, 1), (1, 1, 1, 1)),
        Window((2, 3), (1, 1), (2, 2), (1, 0, 2, 3)),
        Window((5, 7)),
    ]
    cases = [pool(w, (5, 7), c, include) for w in windows for c in (1, 3, 10) for include in (False, True)]
    one_axis = AveragePool(Window((3, 1), pads=(1, 0, 1, 0)), np.array([[2], [3], [3], [3], [2]], np.float32))
    check([*cases, Case(one_axis, [plain(5, 4, 3)])], tmp_path)
