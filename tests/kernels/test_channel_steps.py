"""channel_steps against numpy: kernels without padding, patches with and without windows, lane widths, paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kernel_harness import Case, conv, run_cases

from bnn2c.kernels import channel_steps
from bnn2c.kernels.channel_order import channel_order, distances
from bnn2c.kernels.shape import ConvShape

SHAPES = [
    conv((4, 5), (1, 1), (1, 1)),
    conv((3, 3), (40, 20), (1, 1)),
    conv((16, 16), (64, 33), (1, 1)),
    conv((9, 14), (31, 7), (3, 3)),
    conv((7, 6), (9, 17), (5, 5)),
    conv((5, 7), (12, 34), (2, 3), dilation=(2, 2)),
    conv((16, 16), (33, 4), (1, 1), stride=(2, 2)),
    conv((13, 11), (4, 6), (2, 2), stride=(2, 2)),
    conv((4, 70), (126, 9), (1, 1)),
    conv((4, 70), (127, 9), (1, 1)),
    conv((8, 9), (258, 40), (1, 1)),
    conv((3, 9), (507, 6), (1, 1)),
    ConvShape.dense(130, 9),
]


@pytest.mark.parametrize("lane_words", [1, 4, 8])
def test_equals_reference(lane_words: int, tmp_path: Path) -> None:
    """Every output word equals the reference; no sanitizer finding."""
    cases = [Case(shape, seed=i) for i, shape in enumerate(SHAPES)]
    assert run_cases(channel_steps, cases, tmp_path, lane_words=lane_words) == []


def test_refuses_what_it_cannot_run() -> None:
    """Padding makes border classes; windows reach 1024 words."""
    assert channel_steps.supports(conv((8, 8), (4, 4), pad=(1, 1, 1, 1))) == "border classes"
    assert channel_steps.supports(ConvShape.dense(508, 4)) is not None
    assert channel_steps.supports(ConvShape(4, 4, 8, 4, 4, 8, groups=2)) == "grouped convolution"


def test_path_is_short_and_complete() -> None:
    """Every channel once; equal and opposite rows are neighbours; random rows are nearer than half their weights."""
    rng = np.random.default_rng(3)
    rows = rng.integers(0, 2, (40, 64)).astype(np.uint8)
    rows[20:] = rows[:20] ^ rng.integers(0, 2, (20, 1), dtype=np.uint8)
    order = channel_order(rows)
    steps = distances(rows)[order[:-1], order[1:]]
    assert sorted(order.tolist()) == list(range(40))
    assert (steps == 0).sum() == 20
    assert steps[steps > 0].max() <= 32
