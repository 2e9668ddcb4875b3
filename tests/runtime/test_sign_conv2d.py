"""Float input, weights of one bit and ternary ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from harness import Case, check, plain

from bnn2c.ir.window import Window
from bnn2c.ops.sign_conv2d import SignConv2d
from bnn2c.ops.ternary_conv2d import TernaryConv2d

RNG = np.random.default_rng(4)


def conv(size, channels, outputs, window, groups=1, pad_value=0.0):
    weights = RNG.integers(0, 2, (outputs, *window.kernel, channels // groups)).astype(np.uint8)
    return Case(SignConv2d(weights, RNG.standard_normal(outputs), window, groups, pad_value), [plain(*size, channels)])


def ternary(size, channels, outputs, window, groups=1, pad_value=0.0):
    weights = RNG.integers(-1, 2, (outputs, *window.kernel, channels // groups)).astype(np.int8)
    return Case(
        TernaryConv2d(weights, RNG.standard_normal(outputs), window, groups, pad_value), [plain(*size, channels)]
    )


@pytest.mark.parametrize("conv", [conv, ternary])
def test_sign_conv2d(conv: Callable[..., Case], tmp_path: Path) -> None:
    windows = [
        Window((1, 1)),
        Window((3, 3), (2, 2), (1, 1), (1, 1, 1, 1)),
        Window((3, 2), (2, 3), (1, 2), (0, 2, 1, 3)),
        Window((5, 5), (1, 1), (1, 1), (4, 4, 4, 4)),
    ]
    cases = [conv((5, 6), i, o, w, 1, v) for w in windows for i, o, v in ((1, 3, 0.0), (3, 7, 0.5), (32, 1, 0.0))]
    cases += [conv((5, 6), i, o, w, g, -1.5) for w in windows for i, o, g in ((6, 4, 2), (5, 5, 5), (66, 3, 3))]
    check([*cases, conv((1, 1), 100, 17, Window((1, 1))), conv((1, 1), 64, 2, Window((1, 1)))], tmp_path)
