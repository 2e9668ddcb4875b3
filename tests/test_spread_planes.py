"""Layers of codes with several bits as layers of single bits: the same accumulators, where it pays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from models import Array, Net, batch_norm, compiled, ort_run, random_layer
from onnx import ModelProto
from test_passes import assert_same, finished, graph_with, text

from bnn2c.ir import Graph, TensorType
from bnn2c.ir.window import Window
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.spread_planes import SpreadPlanes
from bnn2c.passes.fuse_pools import fuse_pools
from bnn2c.passes.spread_planes import spread_planes
from bnn2c.targets import load_target
from bnn2c.toolchain import build_shared

RNG = np.random.default_rng(0)
WINDOW = Window((3, 3), pads=(1, 1, 1, 1))


def layer(coefficients: tuple[tuple[int, ...], ...], levels: int, channels: int = 40) -> BinaryConv2d:
    weights = RNG.integers(0, 2, (len(coefficients), 32, 3, 3, channels)).astype(np.uint8)
    conv = BinaryConv2d(weights, coefficients, WINDOW)
    if not levels:
        return conv
    limits = np.sort(RNG.integers(-1, conv.largest + 2, (2, 2, 32, levels)), axis=-1).astype(np.int32)
    border = np.array([0, *[1] * 7, 0])
    return replace(conv, thresholds=limits, row_class=border, col_class=border)


def behind_codes(conv: BinaryConv2d, codes: int, *, pool: bool = False) -> Graph:
    """Numbers -> codes 0 ... codes - 1 -> the layer."""
    planes = (codes - 1).bit_length()
    builder = graph_with(TensorType((18, 18, 40) if pool else (9, 9, 40)))
    breaks = np.sort(RNG.standard_normal((1, 1, 40, codes - 1)))
    order = np.tile(np.arange(codes, dtype=np.uint8), (1, 1, 40, 1))
    one = np.zeros(18 if pool else 9, np.int64)
    code = builder.emit(Quantize(breaks, order, one, one, planes), ["x"], "code")
    if pool:
        code = builder.emit(MaxPool(Window((2, 2), (2, 2)), np.zeros(40, bool)), [code], "pooled")
    return finished(builder, builder.emit(conv, [code], "y"))


def spread(graph: Graph, target: str = "aarch64", optimize: str = "speed") -> Graph:
    return spread_planes(graph, load_target(target), optimize)


def masks(graph: Graph) -> list[tuple[int, ...]]:
    return [node.op.masks for node in graph.nodes if isinstance(node.op, SpreadPlanes)]


@pytest.mark.parametrize(
    ("coefficients", "codes", "levels", "expected"),
    [
        (((1, 2),), 4, 1, (1, 2, 2)),
        (((1, 2),), 4, 0, (1, 2, 2)),
        (((1, 2),), 3, 0, (1, 2, 2)),
        (((1, 2),), 3, 1, (3, 2)),
        (((1,), (2,)), 2, 1, (1, 1, 1)),
        (((1,), (1,)), 2, 0, (1, 1)),
    ],
)
def test_the_same_codes_leave_the_layer(
    coefficients: tuple[tuple[int, ...], ...], codes: int, levels: int, expected: tuple[int, ...]
) -> None:
    before = behind_codes(layer(coefficients, levels), codes)
    after = spread(before)
    assert masks(after) == [expected]
    assert_same(before, after)


def test_three_levels_are_known_through_a_pool() -> None:
    before = behind_codes(layer(((1, 2),), 1), 3, pool=True)
    after = spread(before)
    assert masks(after) == [(3, 2)]
    assert_same(before, after)


def test_layers_that_pool_are_spread() -> None:
    """And the codes of two thresholds that a pooled layer makes are known to be three."""
    before = behind_codes(layer(((1, 2),), 2), 3)
    builder = graph_with(TensorType((9, 9, 40)))
    builder.types, builder.nodes = dict(before.types), list(before.nodes)
    pool = MaxPool(Window((2, 2), (2, 2)), np.arange(32) % 3 == 0)
    conv = layer(((1, 2),), 1, channels=32)
    pooled = builder.emit(pool, ["y"], "pooled")
    again = replace(conv, row_class=np.array([0, 1, 1, 0]), col_class=np.array([0, 1, 1, 0]))
    both = fuse_pools(finished(builder, builder.emit(pool, [builder.emit(again, [pooled], "z")], "end")))
    assert [node.op.kind for node in both.nodes] == ["quantize", "pooled_conv2d", "pooled_conv2d"]
    after = spread(both)
    assert masks(after) == [(3, 2)]
    assert_same(both, after)


def test_codes_of_a_layer_have_one_level_more_than_its_thresholds() -> None:
    """The first of two layers has two thresholds, which only bit-sliced planes compare with."""
    before = behind_codes(layer(((1, 2),), 2), 3)
    builder = graph_with(TensorType((9, 9, 40)))
    builder.types = dict(before.types)
    builder.nodes = list(before.nodes)
    both = finished(builder, builder.emit(layer(((1, 2),), 1, channels=32), ["y"], "z"))
    after = spread(both)
    assert masks(after) == [(3, 2)]
    assert_same(both, after)


@pytest.mark.parametrize(
    ("conv", "codes", "target", "optimize"),
    [
        (layer(((1, 2), (2, 4)), 1), 4, "aarch64", "speed"),  # nine copies
        (layer(((1,),), 1), 2, "aarch64", "speed"),
        (layer(((1, 2),), 0), 4, "cortex-m4", "speed"),  # three copies of channels take longer than two planes
        (layer(((1, 2),), 1), 4, "cortex-m4", "balanced"),
    ],
)
def test_other_layers_stay(conv: BinaryConv2d, codes: int, target: str, optimize: str) -> None:
    before = behind_codes(conv, codes)
    assert text(spread(before, target, optimize)) == text(before)


def ternary() -> ModelProto:
    """Sign, which can be 0, -> binary convolution -> BatchNormalization -> Sign."""
    n = Net()
    weights = random_layer(RNG, 40, 48, 3, 3)
    x = n.add("Conv", n.add("Sign", n.input([1, 48, 10, 10])), weights.weights, pads=[1] * 4)
    return n.model(n.add("Sign", batch_norm(n, x, weights)))


@pytest.mark.parametrize("target", ["cortex-m4", "aarch64", "host"])
def test_a_ternary_network_is_exact(target: str, tmp_path: Path) -> None:
    model = ternary()
    found = compiled(model, target=target, optimize="speed")
    assert any(layer["op"] == "spread_planes" for layer in found.manifest["layers"])
    image = RNG.integers(-2, 3, (1, 48, 10, 10)).astype(np.float32)
    (expected,) = ort_run(model, [image])
    feeds: list[Array] = [image.reshape(48, 10, 10)]
    np.testing.assert_array_equal(found.reference(feeds)[0].ravel(), expected.ravel())
    if target == "host":
        library = build_shared(found.files, found.manifest, tmp_path)
        np.testing.assert_array_equal(library.run(feeds)[0].ravel(), expected.ravel())


def test_size_keeps_one_bit_a_weight() -> None:
    found = compiled(ternary(), target="aarch64", optimize="size")
    assert all(layer["op"] != "spread_planes" for layer in found.manifest["layers"])
