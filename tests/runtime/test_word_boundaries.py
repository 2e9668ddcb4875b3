"""Packed layers whose channels, or inputs, are one more or less than whole words: the last bits of every row."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from harness import Case, bits, check, plain

from bnn2c.ir.window import Window
from bnn2c.kernels.binary import FAMILIES, PLANE_FAMILIES
from bnn2c.ops.binary_conv2d import random_layer
from bnn2c.ops.binary_mat_mul import BinaryMatMul
from bnn2c.ops.integer_conv2d import IntegerConv2d
from bnn2c.ops.level_sum import LevelSum
from bnn2c.ops.level_values import LevelValues
from bnn2c.ops.paired_conv2d import MAX_BREAK, PairedConv2d
from bnn2c.ops.quantize import Quantize

CHANNELS = (1, 31, 32, 33, 63, 64, 65)
AROUND = (1, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65)
ONE, PAIR, PADDED = Window((1, 1)), Window((1, 2)), Window((2, 2), pads=(1, 0, 0, 1))
PIXEL_FAMILIES = [name for name in FAMILIES if name not in PLANE_FAMILIES]


def layers_of(family: str) -> list[Case]:
    """Thresholded and counted layers of the family, with every number of channels in and out."""
    sizes = [(1, 40, ONE), *((n, 33, PAIR) for n in CHANNELS), *((40, n, PADDED) for n in CHANNELS)]
    found = []
    for (channels, out, window), levels in product(sizes, (0, 1)):
        conv, (kind,) = random_layer((1, 1), (2, 3, channels), out, window, levels=levels)
        if FAMILIES[family].refuses(replace(conv, family=family), kind, ("popcnt",)) is None:
            found.append(Case(replace(conv, family=family), [kind]))
    return found


@pytest.mark.parametrize("family", [name for name in PIXEL_FAMILIES if layers_of(name)])
def test_binary_layers(family: str, tmp_path: Path) -> None:
    check(layers_of(family), tmp_path)


def test_groups_and_codes_of_several_planes(tmp_path: Path) -> None:
    sizes = [((1, 1), 96, 6, 3, 0), ((1, 1), 192, 6, 3, 1), ((2, 2), 64, 33, 1, 3), ((1, 2), 33, 65, 1, 3)]
    sizes += [((1, 1), 2080, 2, 2, 0), *(((1, 1), n, n, n, levels) for n in CHANNELS[1:] for levels in (0, 1))]
    cases = [
        random_layer(planes, (3, 3, channels), out, PADDED, groups=groups, levels=levels)
        for planes, channels, out, groups, levels in sizes
    ]
    check([Case(op, kinds) for op, kinds in cases], tmp_path)


def test_integer_layers(tmp_path: Path) -> None:
    """+1 and -1, with zeros, and bytes as weights; the sums come from tables of four inputs, eight at a time."""
    rng = np.random.default_rng(1)
    cases = []
    for weights, inputs in product(((-1, 1), (-1, 0, 1), (-128, 5, 127)), AROUND):
        op = IntegerConv2d(rng.choice(weights, (3, 1, 1, inputs)), ONE)
        cases += [Case(op, [plain(1, 2, inputs, storage=storage)]) for storage in ("u8", "i8")]
    check(cases, tmp_path)


def test_windows_of_integer_layers(tmp_path: Path) -> None:
    """Rows of taps that are one run of the input, and those that are not: dilated, in groups, at the borders."""
    rng = np.random.default_rng(4)
    shapes = [(Window((2, 2), dilation=(1, d), pads=(1, 0, 1, 2)), g, 8) for d, g in ((1, 1), (2, 1), (1, 2), (2, 2))]
    shapes.append((ONE, 1, 1025))
    cases = []
    for weights, (window, groups, channels) in product(((-1, 1), (-1, 0, 1), (-128, 5, 127)), shapes):
        op = IntegerConv2d(rng.choice(weights, (4, *window.kernel, channels // groups)), window, groups)
        cases.append(Case(op, [plain(3, 5, channels, storage="u8")]))
    check(cases, tmp_path)


def test_first_layers_by_pairs(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    cases = []
    for out, (width, classes, storage) in product(AROUND, ((2, 1, "u8"), (5, 2, "i8"))):
        conv = IntegerConv2d(rng.choice([-1, 1], (out, 2, 1, 3)), Window((2, 1)))
        breaks = rng.integers(-300, 300, (1, classes, out, 1)).astype(float)
        breaks[:, :, :1] = -MAX_BREAK
        codes = np.tile(np.array([1, 0], np.uint8), (1, classes, out, 1))
        step = Quantize(breaks, codes, np.zeros(2, np.int64), np.arange(width) % classes)
        cases.append(Case(PairedConv2d(conv, step), [plain(3, width, 3, storage=storage)]))
    check(cases, tmp_path)


def test_thresholds(tmp_path: Path) -> None:
    """One threshold for all channels, or one each; the same for all pixels, or by row and column."""
    rng = np.random.default_rng(3)
    cases = []
    kinds = product(CHANNELS, ("f32", "i32", "i16", "i8", "u8"), ((0, 1), (1, 2), (0, 2)))
    for channels, storage, (shared, classes) in kinds:
        shape, size = (classes, classes, 1 if shared else channels, 1), (2, 3, channels)
        breaks = rng.integers(-40, 100, shape).astype(float) if storage != "f32" else rng.normal(0, 1, shape)
        codes = np.stack([flips := rng.integers(0, 2, (*shape[:2], channels)), 1 - flips], axis=-1).astype(np.uint8)
        row_class, col_class = np.arange(2) % classes, np.arange(3) % classes
        op = Quantize(np.broadcast_to(breaks, (*shape[:2], channels, 1)).copy(), codes, row_class, col_class)
        given = rng.integers(0, 100, size) if storage != "f32" else rng.normal(0, 1, size).astype(np.float32)
        cases.append(Case(op, [plain(*size, storage=storage)], [given]))
    check(cases, tmp_path)


def test_sums_values_and_products(tmp_path: Path) -> None:
    cases = [Case(LevelSum(), [bits(1, 3, n, planes=planes)]) for n in (*CHANNELS, 1025) for planes in (1, 2)]
    cases += [Case(LevelValues(np.array([[3, -1]]), "i16"), [bits(2, 3, n)]) for n in CHANNELS]
    cases += [Case(BinaryMatMul(1, 2, 1, 2), [bits(2, 3, n), bits(1, 4, n)]) for n in CHANNELS]
    cases += [Case(BinaryMatMul(7, 2, 3, 1), [bits(1, 2, n, planes=3), bits(1, 2, n, planes=2)]) for n in CHANNELS]
    check(cases, tmp_path)
