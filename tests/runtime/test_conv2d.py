"""Float convolution: geometry, groups, depthwise, padding values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from harness import Case, check, plain

from bnn2c.ir.window import Window
from bnn2c.ops.conv2d import Conv2d

RNG = np.random.default_rng(3)


def conv(size, channels, outputs, window, groups=1, pad_value=0.0):
    weights = RNG.standard_normal((outputs, *window.kernel, channels // groups)).astype(np.float32)
    return Case(Conv2d(weights, window, groups, pad_value), [plain(*size, channels)])


def test_dense_and_pointwise(tmp_path: Path) -> None:
    one = Window((1, 1))
    dense = [conv((1, 1), i, o, one) for i, o in ((1, 1), (7, 5), (100, 10), (33, 4))]
    check([*dense, conv((3, 5), 6, 9, one)], tmp_path)


def test_windows(tmp_path: Path) -> None:
    windows = [
        Window((3, 3)),
        Window((3, 3), (2, 2), (1, 1), (1, 1, 1, 1)),
        Window((3, 5), (2, 3), (1, 1), (0, 2, 1, 3)),
        Window((3, 3), (1, 1), (2, 3), (2, 3, 2, 3)),
        Window((2, 1), (1, 2), (3, 1), (1, 0, 2, 0)),
        Window((5, 5), (1, 1), (1, 1), (4, 4, 4, 4)),
    ]
    pads = np.array([0.5, -1.0, 2.0], np.float32)
    cases = [conv((7, 9), 3, o, w) for w in windows for o in (1, 6)]
    cases += [conv((7, 9), 3, 5, w, pad_value=v) for w in windows for v in (-1.0, pads)]
    check(cases, tmp_path)


def test_groups(tmp_path: Path) -> None:
    padded = Window((3, 3), (2, 1), (1, 2), (1, 2, 0, 2))
    shapes = [(6, 6, 6), (6, 12, 6), (6, 12, 2), (6, 3, 3), (9, 9, 9), (4, 4, 4), (2, 10, 2)]
    cases = [conv((5, 6), i, o, padded, g, v) for i, o, g in shapes for v in (0.0, 0.75)]
    check(cases + [conv((5, 6), 9, 9, padded, 9, np.arange(9.0))], tmp_path)
