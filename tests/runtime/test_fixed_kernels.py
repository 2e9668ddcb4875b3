"""Kernels of fixed point on small shapes: geometry, tails, groups, padding, rounding, saturation, every type."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
from harness import Case, check, plain

from bnn2c.analysis.steps import classes_of
from bnn2c.expr import Arg
from bnn2c.fixed_point.formats import INTEGER_LIMITS
from bnn2c.fixed_point.program import Program, Step
from bnn2c.fixed_point.weights import rescaling
from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.ir.window import Window
from bnn2c.ops.fixed_average_pool import FixedAveragePool
from bnn2c.ops.fixed_conv2d import FixedConv2d
from bnn2c.ops.fixed_map import FixedMap
from bnn2c.ops.fixed_mat_mul import FixedMatMul
from bnn2c.ops.fixed_reduce import FixedReduce
from bnn2c.ops.fixed_softmax import FixedSoftmax
from bnn2c.ops.to_fixed import ToFixed

TYPES = ("i16", "i8", "u8")
KINDS = ("int16", "int8", "signs")
BORDERS = [
    Window((3, 3), (2, 1), (1, 2), (1, 2, 2, 2)),
    Window((3, 5), (1, 1), (1, 1), (0, 2, 1, 3)),
    Window((2, 2), (2, 3)),
    Window((5, 5), (3, 3), (1, 1), (4, 4, 4, 4)),
]


def conv(rng, kind, given, stored, channels, outputs, window, groups=1, pad=False, size=(5, 6)):
    """A third of the results is saturated; multipliers and shifts differ by channel."""
    shape = (outputs, *window.kernel, channels // groups)
    reach, taps = INTEGER_LIMITS[given][1], int(np.prod(shape[1:]))
    largest = 1 if kind == "signs" else min(np.iinfo(kind).max, (2**29) // (taps * reach))
    weights = rng.integers(-largest, largest, shape, endpoint=True)
    weights = np.where(rng.random(shape) < 0.5, -1, 1) if kind == "signs" else weights
    bias = rng.integers(-taps * reach * largest // 8, taps * reach * largest // 8, outputs, endpoint=True)
    low, high = INTEGER_LIMITS[stored]
    usual = np.sqrt(taps) * reach * largest / 3
    scaled = rescaling(high / usual * rng.uniform(0.2, 2.0, outputs), 2 * taps * reach * largest)
    around = rng.integers(max(-reach, INTEGER_LIMITS[given][0]), reach, channels).astype(np.int16) if pad else None
    op = FixedConv2d(
        weights.astype(np.int8 if kind == "signs" else kind), bias, scaled.lift, scaled.multiplier, scaled.shift,
        window, groups, around, stored, low, high - 1, kind == "signs",
    )  # fmt: skip
    return Case(op, [plain(*size, channels, storage=given)])


def test_convolutions_of_every_type(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    check([conv(rng, *types, 5, 3, Window((2, 3))) for types in product(KINDS, TYPES, TYPES)], tmp_path)


def test_convolutions_at_borders(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    shapes = product(KINDS, ("i16", "u8"), BORDERS, (False, True))
    check([conv(rng, kind, given, "i16", 3, 4, w, pad=pad) for kind, given, w, pad in shapes], tmp_path)


def test_dense_layers_of_every_length(tmp_path: Path) -> None:
    """Around the blocks of 4, 8, 16 and 32 elements; odd and even numbers of outputs and of pixels."""
    rng = np.random.default_rng(3)
    lengths, one = (1, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 20, 31, 32, 33, 48, 49, 64, 65), Window((1, 1))
    shapes = [*product(KINDS, lengths, (3,), ((1, 1),)), *product(KINDS, (12, 40), (1, 2, 5), ((1, 2), (1, 3)))]
    check([conv(rng, kind, "i8", "i16", n, outputs, one, size=size) for kind, n, outputs, size in shapes], tmp_path)


def test_groups(tmp_path: Path) -> None:
    """Several channels a group, and one: depthwise, with tails of the blocks of four channels."""
    rng = np.random.default_rng(4)
    shapes = [(6, 4, 2), (4, 10, 2), (40, 3, 1), (9, 9, 3), *((n, n, n) for n in (2, 3, 4, 5, 8, 9))]
    cases = product(KINDS, ("i16", "u8"), shapes, (False, True))
    check([conv(rng, k, given, "i8", i, o, BORDERS[0], g, pad) for k, given, (i, o, g), pad in cases], tmp_path)


def test_sums_are_exact_to_the_unit(tmp_path: Path) -> None:
    """Results in the unit of the sums: nothing is rounded, so that a sum that is off by one is seen."""
    rng, cases = np.random.default_rng(5), []
    window = Window((3, 2), (1, 2), (1, 1), (1, 1, 1, 1))
    for kind, (channels, outputs, groups), pad in product(KINDS, ((5, 3, 1), (9, 9, 9), (6, 6, 2)), (False, True)):
        shape = (outputs, *window.kernel, channels // groups)
        weights = rng.choice([-1, 1] if kind == "signs" else [-3, -2, 0, 1, 3], shape)
        around = rng.integers(-100, 100, channels).astype(np.int16) if pad else None
        unit = (8, np.full(outputs, 2**30), np.full(outputs, 33))
        op = FixedConv2d(
            weights.astype(np.int8 if kind == "signs" else kind), rng.integers(-9, 9, outputs), *unit,
            window, groups, around, "i16", -32767, 32767, kind == "signs",
        )  # fmt: skip
        cases.append(Case(op, [plain(4, 5, channels, storage="i8")]))
    check(cases, tmp_path)


def test_ties_round_up(tmp_path: Path) -> None:
    """Sums of 0 … 255 halves, and the next smaller numbers."""
    values = np.arange(256, dtype=np.uint8).reshape(1, 256, 1)
    cases = []
    for multiplier, bias in product((2**30, 2**30 - 1), (-100, 0)):
        half = (np.array([bias]), 1, np.array([multiplier]), np.array([33]), Window((1, 1)), 1, None, "i16", -60, 110)
        weights = np.full((1, 1, 1, 1), 4, np.int8)
        cases.append(Case(FixedConv2d(weights, *half), [plain(1, 256, 1, storage="u8")], [values]))
    check(cases, tmp_path)


def test_tables_are_interpolated(tmp_path: Path) -> None:
    """Every place between two of the 513 entries, ties included."""
    rng = np.random.default_rng(6)
    steps = (Step("load", (), (0,)), Step("table", (0,), (), (rng.integers(-9999, 9999, 513),)))
    op = FixedMap(Program(steps, classes_of(Arg(0), (1, 65536, 1))), (1, 65536, 1), "i16")
    places = np.arange(65536, dtype=np.int32).reshape(1, -1, 1)
    check([Case(op, [plain(1, 65536, 1, storage="i32")], [places])], tmp_path)


def test_average_pools(tmp_path: Path) -> None:
    """Whole windows and the taps inside the input; divisors that differ along one axis or both."""
    cases = []
    for window, kind, channels in product(BORDERS, TYPES, (1, 3)):
        rows, cols = (valid.sum(1) for valid in window.valid_taps(5, 6))
        whole = np.full((1, 1), window.kernel[0] * window.kernel[1])
        divisors = (whole, np.maximum(np.outer(rows, cols), 1), np.maximum(rows[:, None], 1) * window.kernel[1])
        cases += [Case(FixedAveragePool(window, d), [plain(5, 6, channels, storage=kind)]) for d in divisors]
    check(cases, tmp_path)


def test_matrix_products(tmp_path: Path) -> None:
    """One right matrix for all batches, and one each; results beyond the range are saturated."""
    cases = []
    for left, right, stored in product(TYPES, TYPES, TYPES):
        bound = 5 * INTEGER_LIMITS[left][1] * INTEGER_LIMITS[right][1]
        drop = max(0, bound.bit_length() - 31)
        scaled = rescaling(np.array([3 * INTEGER_LIMITS[stored][1] / (bound >> drop)]), (bound >> drop) // 4)
        op = FixedMatMul(drop, int(scaled.multiplier[0]), int(scaled.shift[0]), stored)
        for batches in (1, 2):
            cases.append(Case(op, [plain(2, 3, 5, storage=left), plain(batches, 4, 5, storage=right)]))
    check(cases, tmp_path)


def test_reductions(tmp_path: Path) -> None:
    """Means of odd and even counts, some of which gain digits and are saturated."""
    ops = [FixedReduce("max"), FixedReduce("min"), *(FixedReduce("mean", digits) for digits in (0, 1, 3))]
    sizes = ((2, 1, 3), (2, 6, 3), (1, 9, 40))
    check([Case(op, [plain(*size, storage=kind)]) for op, size, kind in product(ops, sizes, TYPES)], tmp_path)


def test_softmax(tmp_path: Path) -> None:
    """From nearly equal shares to a single one."""
    steps, sizes = (1, 700, 65536 * 3, 65536 * 900), ((2, 3, 1), (1, 2, 7), (1, 1, 100))
    cases = product(steps, sizes, TYPES, TYPES)
    check([Case(FixedSoftmax(s, out), [plain(*size, storage=kind)]) for s, size, kind, out in cases], tmp_path)


def test_real_inputs(tmp_path: Path) -> None:
    """Ties to even, what lies beyond the range, infinities and NaN."""
    cases = []
    for kind in TYPES:
        low, high = INTEGER_LIMITS[kind]
        near = np.add.outer(np.array([low, 0, high, 100]), np.array([-1.5, -0.5, -0.49, 0.0, 0.49, 0.5, 1.5, 2.5]))
        values = np.append(near, [np.inf, -np.inf, np.nan, 3e38, -3e38]).astype(np.float32).reshape(1, 1, -1)
        cases += [Case(ToFixed(inverse, kind), [plain(*values.shape)], [values]) for inverse in (1.0, 0.5, 4.0)]
    assert {NUMPY_TYPES[case.op.storage] for case in cases} == {np.int16, np.int8, np.uint8}
    check(cases, tmp_path)
