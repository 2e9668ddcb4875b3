"""class_groups against numpy: shapes, padding, strides, channel counts; with gather loads on a Cortex-M55."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from kernel_harness import Case, conv, run_cases

from bnn2c.kernels import class_groups
from bnn2c.kernels.shape import ConvShape
from bnn2c.options import Options
from bnn2c.pipeline import compile_model
from bnn2c.targets import load_target
from bnn2c.toolchain import ToolchainMissing, require_tools, run_on_target

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import networks  # noqa: E402

PADS = [(0, 0, 0, 0), (1, 0, 0, 2)]
GRID = itertools.product([(4, 5), (3, 33)], [(1, 1), (3, 5), (31, 21)], PADS)
SHAPES = [conv(size, channels, (3, 3), pad=pad) for size, channels, pad in GRID]
SHAPES += [
    conv((3, 3), (40, 20), (1, 1)),
    conv((7, 6), (9, 17), (5, 5), pad=(2, 2, 2, 2)),
    conv((5, 7), (12, 34), (2, 3), pad=(0, 1, 1, 1), dilation=(2, 2)),
    conv((6, 6), (130, 18), (3, 3), pad=(1, 1, 1, 1), stride=(2, 2)),
    conv((9, 37), (5, 4), (3, 3), pad=(0, 1, 2, 1), stride=(1, 2)),
    conv((9, 11), (3, 4), (3, 3), stride=(2, 3)),
    ConvShape.dense(130, 9),
]
CASES = [Case(shape, seed=i) for i, shape in enumerate(SHAPES)]


@pytest.mark.parametrize("lane_words", [1, 4])
def test_equals_reference(lane_words: int, tmp_path: Path) -> None:
    """Every output word equals the reference; no sanitizer finding."""
    assert run_cases(class_groups, CASES, tmp_path, lane_words=lane_words) == []


def test_one_class_of_a_large_patch() -> None:
    """Equal rows put all inputs in one class: every input, or its complement, is listed once for each group."""
    shape = ConvShape.dense(3000, 16)
    weights = np.tile(np.arange(3000, dtype=np.uint8) % 2, (16, 1)).reshape(16, 1, 1, 3000)
    data = class_groups.layer(shape, weights, np.full((1, 16), 1500, np.int32), 4).arrays["lists"]
    count = int(data[0]) + 256 * int(data[1])
    blocks = data[2 : 2 + 33 * count].reshape(count, 33)
    words = 64 * blocks[:, :1].astype(int) + blocks[:, 1:]
    for group in range(4):
        found = words[:, group::4].ravel()
        used = found[found % 256 != 0]
        assert len(used) == len(set(used.tolist())) == 3000
        assert ((used // 16 % 2).astype(int).sum()) == 1500  # inputs of weight 1 are complements


@pytest.mark.cross
@pytest.mark.parametrize("layer", [networks.Conv(stride=2), networks.Conv(40, 64, size=14, pad=0)])
def test_gather_loads_equal_reference(layer: networks.Conv, tmp_path: Path) -> None:
    """Chosen for small maps on a Cortex-M55, with the outputs of the reference and static timing."""
    target = load_target("cortex-m55")
    try:
        require_tools(target)
    except ToolchainMissing as error:
        pytest.skip(str(error))
    found = compile_model(networks.one_layer(layer), Options(target=target.name, optimize="speed", name="net"))
    assert "class_groups" in {getattr(node.op, "family", "") for node in found.final.nodes}
    rng = np.random.default_rng(layer.size)
    shape = (1, layer.inputs, layer.size, layer.size)
    feeds = [[rng.standard_normal(shape).astype(np.float32)] for _ in range(3)]
    run = run_on_target(found.files, found.manifest, target, feeds, tmp_path, timeout=120)
    for outputs, given in zip(run.outputs, feeds, strict=True):
        for output, expected in zip(outputs, found.reference(given), strict=True):
            np.testing.assert_array_equal(np.ravel(output), np.ravel(expected))
    assert run.guards_intact and run.constant_time
