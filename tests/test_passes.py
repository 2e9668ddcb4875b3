"""Each pass: the IR before and after, in text, and the same outputs from both."""

from __future__ import annotations

import re

import numpy as np
import pytest
from models import Array, Net, random_layer
from onnx import ModelProto

from bnn2c.analysis.piecewise import real_steps
from bnn2c.expr import Arg, apply, const, evaluate
from bnn2c.importer import import_graph, load_model
from bnn2c.ir import Graph, Port, TensorType
from bnn2c.ir.builder import Builder
from bnn2c.ir.check import ir_check
from bnn2c.ir.graph import outputs
from bnn2c.ir.text import to_text
from bnn2c.ir.window import Window
from bnn2c.lowering import lower
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.binary_conv2d import random_layer as binary_layer
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.map import Map
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.rearrange import Rearrange
from bnn2c.options import Options
from bnn2c.passes.choose_kernels import Choice, choose_kernels, convert
from bnn2c.passes.cleanup import drop_dead
from bnn2c.passes.fold_padding import fold_padding
from bnn2c.passes.fuse_maps import fuse_maps
from bnn2c.passes.fuse_pixels import fuse_pixels
from bnn2c.passes.fuse_pools import fuse_pools
from bnn2c.passes.fuse_sums import fuse_sums
from bnn2c.passes.fuse_thresholds import fuse_thresholds
from bnn2c.passes.pad_late import pad_late
from bnn2c.passes.reshape_late import reshape_late
from bnn2c.targets import load_target

RNG = np.random.default_rng(0)


def text(graph: Graph) -> list[str]:
    """The IR without attributes."""
    return [re.sub(r" \{.*\}$|  # .*$", "", line.strip()) for line in to_text(graph).splitlines()[1:]]


def imported(model: ModelProto) -> Graph:
    return import_graph(load_model(model), Options(), "net")


def assert_same(before: Graph, after: Graph, count: int = 4) -> None:
    ir_check(after)
    rng = np.random.default_rng(1)
    for _ in range(count):
        feeds = [draw(rng, before.types[p.value]) for p in before.inputs]
        for one, other in zip(outputs(before, feeds), outputs(after, feeds), strict=True):
            np.testing.assert_array_equal(one, other)


def draw(rng: np.random.Generator, kind: TensorType) -> Array:
    if kind.storage == "bits":
        return rng.integers(0, 1 << kind.planes, kind.shape).astype(np.uint8)
    return rng.standard_normal(kind.shape).astype(np.float32)


def graph_with(kind: TensorType) -> Builder:
    builder = Builder("net")
    builder.add_input(Port("x", "x", kind.shape, "float32"), kind)
    return builder


def finished(builder: Builder, *values: str) -> Graph:
    for value in values:
        builder.outputs.append(Port(value, value, builder.types[value].shape, "float32"))
    return builder.build()


# --- fold_padding -----------------------------------------------------------------------------------------------------


def padded_conv(value: float, pads: tuple[int, int, int, int] = (0, 0, 0, 0), own: float = 0.0) -> Graph:
    """A border of `value` around 3 x 4 pixels (top 1, left 2, bottom 0, right 1), then a convolution."""
    builder = graph_with(TensorType((3, 4, 2)))
    index = np.pad(np.arange(24, dtype=np.int32).reshape(3, 4, 2), ((1, 0), (2, 1), (0, 0)), constant_values=-1)
    padded = builder.emit(Rearrange(index, value), ["x"], "padded", origin=("/Pad",))
    op = Conv2d(RNG.standard_normal((3, 2, 2, 2)), Window((2, 2), pads=pads), 1, own)
    return finished(builder, builder.emit(op, [padded], "y", origin=("/conv",)))


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 0.5])
def test_fold_padding(value: float) -> None:
    before = padded_conv(value)
    assert text(before) == [
        "input x: f32[3x4x2]",
        "padded: f32[4x7x2] = rearrange(x)",
        "y: f32[3x6x3] = conv2d(padded)",
        "output y",
    ]
    after = fold_padding(before)
    assert text(after) == ["input x: f32[3x4x2]", "y: f32[3x6x3] = conv2d(x)", "output y"]
    (node,) = after.nodes
    assert isinstance(node.op, Conv2d) and node.op.window.pads == (1, 2, 0, 1) and node.op.pad_value == value
    assert node.origin == ("/conv", "/Pad"), "a layer is called like its first node"
    assert_same(before, after)


@pytest.mark.parametrize(("slope", "late"), [([2.0], True), ([2.0, 2.0], True), ([2.0, 3.0], False)])
def test_pad_late(slope: list[float], late: bool) -> None:
    """f(pad(x, v)) = pad(f(x), f(v)), where that is one number for all channels."""
    builder = graph_with(TensorType((3, 4, 2)))
    index = np.pad(np.arange(24, dtype=np.int32).reshape(3, 4, 2), ((0, 0), (2, 0), (0, 0)), constant_values=-1)
    padded = builder.emit(Rearrange(index, 0.5), ["x"], "padded")
    scaled = Map(apply("mul", Arg(0), const(np.array(slope, np.float32))), (3, 6, 2))
    before = finished(builder, builder.emit(scaled, [padded], "y"))
    after = pad_late(before)
    steps = ["x: f32[3x4x2]", "y/unpadded: f32[3x4x2] = map(x)", "y: f32[3x6x2] = rearrange(y/unpadded)"]
    assert text(after) == (["input " + steps[0], *steps[1:], "output y"] if late else text(before))
    assert_same(before, after)


def test_fold_padding_joins_equal_pads() -> None:
    before = padded_conv(0.0, (0, 1, 2, 0))
    after = fold_padding(before)
    (node,) = after.nodes
    assert isinstance(node.op, Conv2d) and node.op.window.pads == (1, 3, 2, 1)
    assert_same(before, after)


def test_fold_padding_keeps_different_pads() -> None:
    before = padded_conv(-1.0, (1, 1, 1, 1))
    assert text(fold_padding(before)) == text(before)


def test_fold_padding_leaves_the_transpose_of_a_padded_transpose() -> None:
    """Pad of a channels-first tensor, then the copy to channels last: the pad goes, the transpose stays."""
    n = Net()
    x = n.pad(n.add("Sign", n.input([1, 2, 3, 3])), [0, 0, 1, 0, 0, 0, 0, 1], -1.0)
    before = imported(n.model(n.add("Conv", x, RNG.standard_normal((2, 2, 2, 2)))))
    after = fold_padding(before)
    assert [node.op.kind for node in before.nodes] == ["map", "rearrange", "rearrange", "conv2d", "rearrange"]
    assert [node.op.kind for node in after.nodes] == ["map", "rearrange", "conv2d", "rearrange"]
    assert_same(before, after)


def test_fold_padding_keeps_a_copy_that_others_read() -> None:
    builder = graph_with(TensorType((3, 3, 1)))
    index = np.pad(np.arange(9, dtype=np.int32).reshape(3, 3, 1), ((1, 1), (1, 1), (0, 0)), constant_values=-1)
    padded = builder.emit(Rearrange(index, 1.0), ["x"], "padded")
    y = builder.emit(Conv2d(RNG.standard_normal((2, 3, 3, 1)), Window((3, 3))), [padded], "y")
    before = finished(builder, y, padded)
    after = fold_padding(before)
    assert "y: f32[3x3x2] = conv2d(x)" in text(after) and "padded: f32[5x5x1] = rearrange(x)" in text(after)
    assert_same(before, after)


def test_fold_padding_keeps_holes() -> None:
    """Missing elements inside (a dilated input) are no border."""
    builder = graph_with(TensorType((2, 2, 1)))
    index = np.full((3, 3, 1), -1, np.int32)
    index[::2, ::2, 0] = np.arange(4).reshape(2, 2)
    spread = builder.emit(Rearrange(index), ["x"], "spread")
    before = finished(builder, builder.emit(Conv2d(RNG.standard_normal((1, 2, 2, 1)), Window((2, 2))), [spread], "y"))
    assert text(fold_padding(before)) == text(before)


# --- fuse_thresholds --------------------------------------------------------------------------------------------------


def counted(codes: Array, breaks: Array, *, read_twice: bool = False) -> Graph:
    """A binary dense layer 40 -> 3 and a quantiser of its accumulators."""
    builder = graph_with(TensorType((1, 1, 40), "bits"))
    weights = RNG.integers(0, 2, (1, 3, 1, 1, 40)).astype(np.uint8)
    acc = builder.emit(BinaryConv2d(weights, ((1,),), Window((1, 1))), ["x"], "acc")
    one = np.zeros(1, np.int64)
    planes = int(codes.max()).bit_length()
    op = Quantize(breaks[None, None].astype(float), codes[None, None].astype(np.uint8), one, one, planes)
    y = builder.emit(op, [acc], "y")
    return finished(builder, y, *([acc] if read_twice else []))


RISING = np.array([[0, 1]] * 3)


def test_fuse_thresholds() -> None:
    before = counted(RISING, np.array([[20.0], [0.0], [41.0]]))
    assert text(before)[1:3] == ["acc: i16[1x1x3] = binary_conv2d(x)", "y: bits1[1x1x3] = quantize(acc)"]
    after = fuse_thresholds(before)
    assert text(after) == ["input x: bits1[1x1x40]", "y: bits1[1x1x3] = binary_conv2d(x)", "output y"]
    assert_same(before, after, 20)


@pytest.mark.parametrize("breaks", [[20.0], [18.0], [1.0], [40.0], [0.0], [41.0], [np.inf]])
def test_fuse_thresholds_inverts_falling_channels(breaks: list[float]) -> None:
    before = counted(np.array([[1, 0], [0, 1], [1, 0]]), np.array([breaks] * 3))
    after = fuse_thresholds(before)
    assert len(after.nodes) == 1
    assert_same(before, after, 30)


def test_fuse_thresholds_clears_the_weights_of_constant_channels() -> None:
    before = counted(np.array([[1, 1], [0, 0], [0, 1]]), np.array([[20.0]] * 3))
    (node,) = fuse_thresholds(before).nodes
    assert isinstance(node.op, BinaryConv2d)
    assert not node.op.weights[0, :2].any() and node.op.weights[0, 2].any()
    assert_same(before, fuse_thresholds(before))


def test_fuse_thresholds_of_several_levels() -> None:
    before = counted(
        np.array([[0, 1, 2, 3], [3, 2, 1, 0], [0, 0, 2, 2]]), np.array([[12.0, 20, 25], [15, 19, 30], [1, 20, 40]])
    )
    after = fuse_thresholds(before)
    assert len(after.nodes) == 1
    assert_same(before, after, 30)


def test_fuse_thresholds_keeps_channels_that_are_not_monotone() -> None:
    before = counted(np.array([[0, 1, 0]] * 3), np.array([[15.0, 25.0]] * 3))
    assert text(fuse_thresholds(before)) == text(before)


def test_fuse_thresholds_keeps_accumulators_that_others_read() -> None:
    before = counted(RISING, np.array([[20.0]] * 3), read_twice=True)
    assert text(fuse_thresholds(before)) == text(before)


# --- fuse_pixels ------------------------------------------------------------------------------------------------------


def test_fuse_pixels() -> None:
    n, layer = Net(), random_layer(RNG, 5, 2, 3, 3)
    x = n.add("Conv", n.input([1, 2, 6, 6]), RNG.standard_normal((5, 2, 3, 3)), pads=[1, 1, 1, 1])
    before, _ = lower(
        imported(
            n.model(
                n.add(
                    "MaxPool",
                    n.add("Conv", n.add("Sign", x), random_layer(RNG, 4, 5, 3, 3).weights),
                    kernel_shape=[2, 2],
                )
            )
        )
    )
    after = fuse_pixels(before)
    assert [node.op.kind for node in before.nodes][1:3] == ["conv2d", "quantize"]
    assert "quantized_conv2d" in [node.op.kind for node in after.nodes]
    assert len(after.nodes) == len(before.nodes) - 1 and layer.signs.size
    assert_same(before, after)


# --- fuse_maps --------------------------------------------------------------------------------------------------------


def test_fuse_maps() -> None:
    builder = graph_with(TensorType((2, 2, 3)))
    a = builder.emit(Map(apply("mul", Arg(0), const(2.0)), (2, 2, 3)), ["x"], "a")
    b = builder.emit(Map(apply("add", Arg(0), const(1.0)), (2, 2, 3)), [a], "b")
    before = finished(builder, builder.emit(Map(apply("max", Arg(0), Arg(1)), (2, 2, 3)), [b, "x"], "y"))
    after = fuse_maps(before)
    assert text(after) == ["input x: f32[2x2x3]", "y: f32[2x2x3] = map(x)", "output y"]
    assert_same(before, after)


def test_fuse_maps_keeps_values_with_two_readers_and_other_shapes() -> None:
    builder = graph_with(TensorType((1, 1, 3)))
    a = builder.emit(Map(apply("exp", Arg(0)), (1, 1, 3)), ["x"], "a")
    b = builder.emit(Map(apply("neg", Arg(0)), (1, 1, 3)), [a], "b")
    c = builder.emit(Map(apply("add", Arg(0), Arg(0)), (2, 2, 3)), [b], "c")
    before = finished(builder, c, a)
    assert text(fuse_maps(before)) == text(before)


def test_fuse_maps_keeps_conversions_to_integers() -> None:
    builder = graph_with(TensorType((1, 1, 3)))
    a = builder.emit(Map(apply("mul", Arg(0), const(2.5)), (1, 1, 3), "i32"), ["x"], "a")
    before = finished(builder, builder.emit(Map(apply("mul", Arg(0), const(0.5)), (1, 1, 3)), [a], "y"))
    after = fuse_maps(before)
    assert text(after) == text(before)


# --- cleanup ----------------------------------------------------------------------------------------------------------


def test_drop_dead() -> None:
    builder = graph_with(TensorType((1, 1, 3)))
    used = builder.emit(Map(apply("neg", Arg(0)), (1, 1, 3)), ["x"], "used")
    builder.emit(Map(apply("exp", Arg(0)), (1, 1, 3)), [used], "unused")
    whole = Graph(
        "net", tuple(builder.inputs), (Port("y", used, (1, 1, 3), "float32"),), tuple(builder.nodes), builder.types
    )
    after = drop_dead(whole)
    assert text(after) == ["input x: f32[1x1x3]", "used: f32[1x1x3] = map(x)", "output used"]
    assert set(after.types) == {"x", "used"}


def test_steps_of_a_real_function_are_found_to_the_last_bit() -> None:
    """The threshold of a chain is the least float32 at which the reference itself changes."""
    expr = apply("sign", apply("sub", apply("mul", Arg(0), const(0.1)), const(0.7)))
    steps = real_steps(expr, (1, 1, 1))
    assert steps is not None
    for at in steps.breaks.ravel()[np.isfinite(steps.breaks.ravel())]:
        here, before = np.float32(at), np.nextafter(np.float32(at), np.float32(-np.inf))
        chain = [np.sign(v * np.float32(0.1) - np.float32(0.7)) for v in (before, here)]
        assert chain[0] != chain[1]


def test_a_test_means_nothing_where_its_operand_overflows() -> None:
    """A pruned channel behind a deviation below 1: `x / 0.03 * 0` is NaN for the largest numbers, and 0 else."""
    pruned = apply("add", apply("mul", apply("div", Arg(0), const(0.03)), const(0.0)), const(0.4))
    for expr, sides in (
        (apply("sign", apply("min", pruned, Arg(0))), [-1, 0, 1]),
        (apply("sign", apply("sub", apply("max", Arg(0), pruned), const(0.5))), [-1, 0, 1]),
        (apply("ge", Arg(0), pruned), [0, 1]),
    ):
        steps = real_steps(expr, (1, 1, 1))
        assert steps is not None
        assert steps.values.ravel().tolist() == sides
        for x in np.float32([-1e30, -1, -1e-30, 0, 0.4, np.nextafter(np.float32(0.4), np.float32(0)), 0.5, 1, 1e30]):
            found = steps.values.ravel()[(steps.breaks.ravel() <= x).sum()]
            assert found == evaluate(expr, [x.reshape(1, 1, 1)]).item()


# --- reshape_late and fuse_sums ---------------------------------------------------------------------------------------


def block(readers: int = 1) -> Graph:
    """Sums of a binary convolution, scaled and added to a shortcut in the shape [1, pixels, channels]."""
    builder = graph_with(TensorType((3, 4, 5)))
    one = np.tile(np.array([1, 0], np.uint8), (1, 1, 5, 1))
    rows, cols = np.zeros(3, np.int64), np.zeros(4, np.int64)
    codes = builder.emit(Quantize(np.zeros((1, 1, 5, 1)), one, rows, cols), ["x"], "codes")
    bits = RNG.integers(0, 2, (1, 5, 3, 3, 5)).astype(np.uint8)
    conv = BinaryConv2d(bits, ((1,),), Window((3, 3), pads=(1, 1, 1, 1)))
    sums = builder.emit(conv, [codes], "sums")
    joined = Rearrange(np.arange(60, dtype=np.int32).reshape(1, 12, 5))
    scale = const(RNG.standard_normal((1, 1, 5)).astype(np.float32))
    add = Map(apply("add", apply("mul", Arg(1), scale), Arg(0)), (1, 12, 5))
    flat, shortcut = builder.emit(joined, [sums], "flat"), builder.emit(joined, ["x"], "shortcut")
    values = [builder.emit(add, [shortcut, flat], f"y{number}") for number in range(readers)]
    return finished(builder, *(builder.emit(Map(apply("neg", Arg(0)), (1, 12, 5)), [v], f"z_{v}") for v in values))


def test_a_block_is_one_loop() -> None:
    before = block()
    after = fuse_sums(reshape_late(before))
    assert text(after) == [
        "input x: f32[3x4x5]",
        "codes: bits1[3x4x5] = quantize(x)",
        "y0_image: f32[3x4x5] = mapped_conv2d(codes, x)",
        "y0: f32[1x12x5] = rearrange(y0_image)",
        "z_y0: f32[1x12x5] = map(y0)",
        "output z_y0",
    ]
    assert_same(before, after)


def test_sums_with_two_readers_are_kept() -> None:
    before = block(readers=2)
    after = fuse_sums(reshape_late(before))
    assert "mapped_conv2d" not in {node.op.kind for node in after.nodes}
    assert_same(before, after)


def test_reshape_late_keeps_constants_of_single_pixels() -> None:
    builder = graph_with(TensorType((2, 3, 4)))
    flat = builder.emit(Rearrange(np.arange(24, dtype=np.int32).reshape(1, 6, 4)), ["x"], "flat")
    pixels = const(RNG.standard_normal((1, 6, 1)).astype(np.float32))
    value = builder.emit(Map(apply("add", Arg(0), pixels), (1, 6, 4)), [flat], "y")
    before = finished(builder, builder.emit(Map(apply("neg", Arg(0)), (1, 6, 4)), [value], "z"))
    assert text(reshape_late(before)) == text(before)


def test_reshape_late_reshapes_what_is_not_an_image() -> None:
    """One operand has a value per pixel, another was never an image, a third is the same for all pixels."""
    builder = graph_with(TensorType((2, 3, 4)))
    for name, shape in (("p", (1, 6, 1)), ("q", (1, 6, 4)), ("s", (1, 1, 4))):
        builder.add_input(Port(name, name, shape, "float32"), TensorType(shape))
    flat = builder.emit(Rearrange(np.arange(24, dtype=np.int32).reshape(1, 6, 4)), ["x"], "flat")
    sums = apply("add", apply("mul", Arg(0), Arg(1)), apply("mul", Arg(2), Arg(3)))
    value = builder.emit(Map(sums, (1, 6, 4)), [flat, "p", "q", "s"], "y")
    before = finished(builder, builder.emit(Map(apply("neg", Arg(0)), (1, 6, 4)), [value], "z"))
    after = reshape_late(before)
    assert [node.op.shape for node in after.nodes if isinstance(node.op, Map)] == [(2, 3, 4), (1, 6, 4)]
    assert_same(before, after)


@pytest.mark.parametrize("factor", [np.nan, np.inf, -np.inf, 1e-45])
@pytest.mark.parametrize("curve", ["sigmoid", "identity"])
def test_constants_that_are_no_numbers_end_the_search_for_steps(factor: float, curve: str) -> None:
    """`relu(c x)` and `relu(c sigmoid(x))` have no usable slope; a quotient by a denormal number overflows."""
    x = Arg(0) if curve == "identity" else apply(curve, Arg(0))
    for scaled in (apply("mul", x, const(factor)), apply("div", x, const(factor))):
        steps = real_steps(apply("ge", apply("relu", scaled), const(1.0)), (1, 1, 1))
        assert steps is None or np.isfinite(steps.values).all()


# --- fuse_pools -------------------------------------------------------------------------------------------------------


def pooled(window: Window, thresholds: int = 1, readers: int = 1) -> Graph:
    """A binary convolution of 9 x 12 pixels and a pool."""
    op, kinds = binary_layer((1, 1), (9, 12, 40), 64, Window((3, 3), pads=(1, 1, 1, 1)), levels=thresholds)
    builder = graph_with(kinds[0])
    codes = builder.emit(op, ["x"], "codes")
    pool = MaxPool(window, np.arange(64) % 5 == 0 if thresholds else None)
    return finished(builder, *[builder.emit(pool, [codes], "y"), codes][:readers])


PAIRS = Window((2, 2), (2, 2))


def test_a_pool_behind_a_binary_convolution_is_part_of_it() -> None:
    before = pooled(PAIRS)
    after = fuse_pools(before)
    assert text(after) == ["input x: bits1[9x12x40]", "y: bits1[4x6x64] = pooled_conv2d(x)", "output y"]
    assert_same(before, after)


@pytest.mark.parametrize(
    "kept",
    [
        pooled(Window((2, 2), (1, 1))),
        pooled(Window((3, 3), (2, 2))),
        pooled(Window((2, 2), (2, 2), pads=(1, 1, 0, 0))),
        pooled(PAIRS, readers=2),
        pooled(PAIRS, thresholds=0),
    ],
    ids=["overlapping", "nearly side by side", "padded", "two readers", "sums"],
)
def test_other_pools_are_kept(kept: Graph) -> None:
    """Windows that share pixels or leave the map, a map that is read once more, a pool of integers."""
    assert "pooled_conv2d" not in {node.op.kind for node in fuse_pools(kept).nodes}


def test_pooled_planes_stay_planes() -> None:
    """Class sharing pools planes: nothing is converted between the convolution and its pool."""
    before = fuse_pools(pooled(PAIRS))
    after = choose_kernels(before, load_target("cortex-m4"), "speed")
    assert text(after)[2] == "y: bits1p[4x6x64] = pooled_conv2d(x_planes)"
    assert_same(before, after)


@pytest.mark.parametrize(("family", "window"), [("table_rows", PAIRS), ("class_sharing", Window((3, 2), (3, 2)))])
def test_a_family_that_cannot_pool_is_taken_apart(family: str, window: Window) -> None:
    """The convolution by that family, and the pool behind it on packed pixels."""
    before = fuse_pools(pooled(window))
    after = convert(before, Choice({"y": family}, 8 if family == "table_rows" else 1, 0))
    assert [node.op.kind for node in after.nodes if node.op.kind != "convert_layout"] == ["binary_conv2d", "max_pool"]
    assert after.types["y"].layout == "pixels"
    assert_same(before, after)
