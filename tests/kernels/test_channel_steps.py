"""channel_steps against numpy: kernels without padding, patches with and without windows, lane widths, paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kernel_harness import RUNTIME, Case, conv, run_cases

from bnn2c.kernels import channel_steps
from bnn2c.kernels.channel_order import channel_order, distances
from bnn2c.kernels.shape import ConvShape

SOURCE = (RUNTIME / "bnn2c_channel_steps.h").read_text("utf-8")
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


@pytest.mark.parametrize("taps", [1, 3, 63, 64, 65, 126, 127, 128, 129, 256, 257, 507])
@pytest.mark.parametrize("least", [[0], [1], [-1, 0], [-2, 0], [-2, -1], [0, -1]])
def test_every_counter_compares_with_every_bound(taps: int, least: list[int]) -> None:
    """The sign of bound + ~counter, modulo the digits, is the comparison; negative bounds count from taps + 2."""
    bounds = np.array([one % (taps + 2) for one in least])
    name, digits = channel_steps.kernel(taps, bounds)
    assert f"BNN2C_CHANNEL_STEPS({name.rsplit('_', 1)[1]}, {digits}u" in SOURCE
    counters = np.arange(taps + 1)[:, None]
    sign = (bounds + ~counters) % (1 << digits) >> (digits - 1)
    assert np.array_equal(sign == 1, counters >= bounds)


def test_one_digit_less_without_constant_channels() -> None:
    """64 inputs fill 6 digits and a sign unless a channel is always 1 or always 0."""
    assert channel_steps.kernel(64, np.array([1, 30, 64])) == ("bnn2c_channel_steps_near7", 7)
    assert channel_steps.kernel(64, np.array([0, 30, 64])) == ("bnn2c_channel_steps_near8", 8)
    assert channel_steps.kernel(64, np.array([1, 65])) == ("bnn2c_channel_steps_near8", 8)


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
