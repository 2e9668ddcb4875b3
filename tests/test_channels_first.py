"""Channels-first images around binary layers: bits move, not real numbers, and where they can they do not move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from models import Array, Net, batch_norm, compiled, ort_run, random_layer
from onnx import ModelProto
from test_passes import assert_same, finished, graph_with, text

from bnn2c.expr import Arg, apply, const
from bnn2c.ir import TensorType
from bnn2c.ops.level_values import LevelValues
from bnn2c.ops.map import Map
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.rearrange import Rearrange
from bnn2c.passes.join_rows import join_rows
from bnn2c.passes.tabulate_maps import tabulate_maps

RNG = np.random.default_rng(0)


def one_layer(size: int = 16, kernel: int = 3) -> ModelProto:
    """Signs of an image [32, size, size] -> binary convolution -> BatchNormalization -> signs, an output."""
    n = Net()
    x = n.add("Where", n.add("GreaterOrEqual", n.input([1, 32, size, size]), 0.0), 1.0, -1.0)
    layer = random_layer(RNG, 32, 32, kernel, kernel)
    y = batch_norm(n, n.add("Conv", x, layer.weights, pads=[kernel // 2] * 4), layer)
    return n.model(n.add("Where", n.add("Greater", y, 0.0), 1.0, -1.0))


def kernels(found: object) -> list[str]:
    return [layer["kernel"] for layer in found.manifest["layers"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [16, 14])
@pytest.mark.parametrize("optimize", ["speed", "size"])
def test_only_bits_change_their_layout(size: int, optimize: str) -> None:
    """Planes at both ends move nothing; no real image is stored."""
    model = one_layer(size)
    found = compiled(model, target="cortex-m4", optimize=optimize)
    pixels = ["threshold", "convert_layout", "sliced_channels", "convert_layout", "level_values"]
    planes = ["threshold", "few_pixels" if size == 14 else "class_sharing", "level_values"]  # 14x14: 4 are left over
    assert kernels(found) == (planes if optimize == "speed" else pixels)
    assert found.manifest["arena_bytes"] < 4 * 32 * size * size / 4
    image = RNG.standard_normal((1, 32, size, size)).astype(np.float32)
    bits = found.reference([image.reshape(32, size, size)])[0]
    np.testing.assert_array_equal(bits.ravel(), ort_run(model, [image])[0].ravel())


# --- tabulate_maps ----------------------------------------------------------------------------------------------------


def values(kind: TensorType, *constants: Array) -> Map:
    low, high = (const(c) for c in constants)
    return Map(apply("where", apply("lt", Arg(0), const(0.5)), low, high), kind.shape)


@pytest.mark.parametrize("planes", [1, 2])
@pytest.mark.parametrize("channels", [1, 5])
def test_functions_of_codes_are_tables(planes: int, channels: int) -> None:
    kind = TensorType((3, 4, 5), "bits", planes)
    builder = graph_with(kind)
    low, high = RNG.standard_normal((2, 1, 1, channels)).astype(np.float32)
    before = finished(builder, builder.emit(values(kind, low, high), ["x"], "y"))
    after = tabulate_maps(before)
    (node,) = after.nodes
    assert isinstance(node.op, LevelValues) and node.op.values.shape == (channels, 1 << planes)
    assert_same(before, after)


def test_functions_that_depend_on_the_place_or_on_more_stay() -> None:
    kind = TensorType((3, 4, 5), "bits")
    builder = graph_with(kind)
    rows = RNG.standard_normal((2, 3, 1, 1)).astype(np.float32)
    by_row = builder.emit(values(kind, rows[0], rows[1]), ["x"], "y")
    both = builder.emit(Map(apply("add", Arg(0), Arg(1)), kind.shape), ["x", by_row], "z")
    before = finished(builder, both)
    assert text(tabulate_maps(before)) == text(before)


# --- join_rows --------------------------------------------------------------------------------------------------------


def first(shape: tuple[int, int, int], axes: tuple[int, int, int]) -> Rearrange:
    index = np.arange(np.prod(shape), dtype=np.int32).reshape(shape).transpose(axes)
    return Rearrange(np.ascontiguousarray(index))


def threshold(rows: int, cols: int, channels: int) -> Quantize:
    breaks = np.broadcast_to(RNG.standard_normal((rows, cols, 1, 1)), (rows, cols, channels, 1))
    codes = np.broadcast_to(np.array([1, 0], np.uint8), (rows, cols, channels, 2))
    return Quantize(breaks, codes, np.arange(3) % rows, np.arange(4) % cols)


@pytest.mark.parametrize("rows", [1, 3])
def test_thresholds_of_channels_first_images_take_whole_channels(rows: int) -> None:
    builder = graph_with(TensorType((3, 4, 5)))
    code = builder.emit(threshold(rows, 1, 5), ["x"], "code")
    before = finished(builder, builder.emit(first((3, 4, 5), (1, 2, 0)), [code], "y"))
    after = join_rows(before)
    assert text(after) == [
        "input x: f32[3x4x5]",
        "y_rows: f32[3x1x20] = rearrange(x)",
        "y_bits: bits1[3x1x20] = quantize(y_rows)",
        "y: bits1[4x5x3] = rearrange(y_bits)",
        "output y",
    ]
    assert_same(before, after)


def test_thresholds_of_one_frame_are_compared_in_the_shape_of_the_layer() -> None:
    builder = graph_with(TensorType((1, 24, 1)))
    step = replace(threshold(1, 1, 1), row_class=np.zeros(1, int), col_class=np.zeros(24, int))
    code = builder.emit(step, ["x"], "code")
    index = np.arange(24, dtype=np.int32).reshape(1, 1, 24)
    before = finished(builder, builder.emit(Rearrange(index), [code], "y"))
    after = join_rows(before)
    assert text(after)[1:-1] == ["y_rows: f32[1x1x24] = rearrange(x)", "y: bits1[1x1x24] = quantize(y_rows)"]
    assert_same(before, after)


def test_thresholds_that_differ_within_a_channel_stay() -> None:
    builder = graph_with(TensorType((3, 4, 5)))
    code = builder.emit(threshold(1, 4, 5), ["x"], "code")
    before = finished(builder, builder.emit(first((3, 4, 5), (1, 2, 0)), [code], "y"))
    assert text(join_rows(before)) == text(before)


def test_other_transpositions_stay() -> None:
    builder = graph_with(TensorType((3, 4, 5)))
    code = builder.emit(threshold(1, 1, 5), ["x"], "code")
    before = finished(builder, builder.emit(first((3, 4, 5), (1, 0, 2)), [code], "y"))
    assert text(join_rows(before)) == text(before)


@pytest.mark.parametrize("channels", [1, 5])
def test_values_of_channels_first_images_are_read_by_channel(channels: int) -> None:
    """One table for all; values that differ between the columns of the image are no function of the channel."""
    builder = graph_with(TensorType((3, 5, 4), "bits"))
    moved = builder.emit(first((3, 5, 4), (2, 0, 1)), ["x"], "moved")
    table = LevelValues(RNG.standard_normal((channels, 2)), "f32")
    before = finished(builder, builder.emit(table, [moved], "y"))
    after = join_rows(before)
    shape = "4x1x15" if channels == 1 else "4x3x5"
    assert [line.split(" = ")[0] for line in text(after)[1:-1]][0].endswith(f"bits1[{shape}]")
    assert text(after)[2] == f"y: f32[4x3x5] = level_values({'y_bits' if channels == 1 else 'moved'})"
    assert_same(before, after)
