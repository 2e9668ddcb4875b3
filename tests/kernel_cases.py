"""Small layers of the kinds that an operation's own CASES leave out: every type of element, every way to move it."""

from __future__ import annotations

import itertools

import numpy as np

from bnn2c.ir import Op, TensorType
from bnn2c.ir.window import Window
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.concat import Concat
from bnn2c.ops.embedding import Embedding
from bnn2c.ops.integer_conv2d import IntegerConv2d
from bnn2c.ops.level_values import LevelValues
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.rearrange import Rearrange

Case = tuple[Op, tuple[TensorType, ...]]
INTEGERS = ("i32", "i16", "i8", "u8")
_rng = np.random.default_rng(15)


def typed_cases() -> list[Case]:
    """All of them, with random tables and permutations."""
    return [*compared(), *joined(), *moved(), *looked_up(), *quantised(), *summed()]


def compared() -> list[Case]:
    """Largest and smallest integers."""
    ends = [ArgMax(last, smallest) for last, smallest in itertools.product((False, True), repeat=2)]
    pools = [MaxPool(Window((2, 2), (2, 2))), MaxPool(Window((3, 3), (2, 1), pads=(1, 1, 1, 0)))]
    shapes = {ArgMax: (2, 1, 9), MaxPool: (5, 4, 3)}
    return [(op, (TensorType(shapes[type(op)], kind),)) for op in (*ends, *pools) for kind in INTEGERS]


def joined() -> list[Case]:
    """Integers along every axis; packed codes whose channels fill words, and those that do not."""
    found: list[Case] = []
    for axis, kind in itertools.product((0, 1, 2), INTEGERS):
        found.append((Concat(axis), (TensorType((2, 3, 4), kind),) * 2))
    for axis, channels in ((0, 40), (1, 40), (2, 32), (2, 33), (2, 40)):
        bits = TensorType((2, 3, channels), "bits", 2)
        found.append((Concat(axis), (bits, bits, bits)))
    return found


def moved() -> list[Case]:
    """Transposed, padded and shuffled elements, pixels and single bits."""
    cube = np.arange(240).reshape(2, 3, 40)
    padded = np.pad(cube, ((1, 0), (0, 2), (0, 0)), constant_values=-1)
    shuffled = _rng.permutation(240).reshape(2, 3, 40)
    swapped = cube[:, [2, 0, 1]][[1, 0]]
    found: list[Case] = []
    for index in (cube.transpose(1, 0, 2), padded, shuffled):
        found += [(Rearrange(np.ascontiguousarray(index)), (TensorType((2, 3, 40), t),)) for t in ("f32", *INTEGERS)]
    for index, planes in itertools.product((padded, shuffled, swapped), (1, 2)):
        found.append((Rearrange(np.ascontiguousarray(index)), (TensorType((2, 3, 40), "bits", planes),)))
    return found


def looked_up() -> list[Case]:
    """Tables of every type of number and of packed codes, ids of every type."""
    numbers = _rng.integers(0, 100, (7, 5))
    tables = [Embedding(numbers.astype(t)) for t in (np.float32, np.int16, np.int8, np.uint8)]
    tables.append(Embedding(_rng.integers(0, 4, (7, 40)).astype(np.uint8), planes=2))
    return [(table, (TensorType((1, 1, 6), kind),)) for table in tables for kind in INTEGERS]


def quantised() -> list[Case]:
    """Codes of integers and of codes, with channels that fill a word and those that do not."""
    found: list[Case] = []
    for channels, kind in itertools.product((5, 33), (*INTEGERS, "bits")):
        breaks = np.sort(_rng.integers(0 if kind == "bits" else -30, 3 if kind == "bits" else 30, (1, 1, channels, 3)))
        codes = np.tile(np.array([3, 2, 1, 0], np.uint8), (1, 1, channels, 1))
        op = Quantize(breaks.astype(float), codes, np.zeros(2, np.int64), np.zeros(3, np.int64), 2)
        found.append((op, (TensorType((2, 3, channels), kind, 2 if kind == "bits" else 1),)))
        signs = Quantize(breaks[..., :1].astype(float), codes[..., 2:], op.row_class, op.col_class)
        found.append((signs, (TensorType((2, 3, channels), kind),)))
    return found


def summed() -> list[Case]:
    """Wide values, and weights of 8 bits on bytes."""
    values = LevelValues(np.array([[300, -300]]), "i16")
    weights = IntegerConv2d(_rng.integers(-100, 100, (4, 2, 2, 2)), Window((2, 2)), 2)
    return [(values, (TensorType((2, 3, 40), "bits"),)), (weights, (TensorType((5, 6, 4), "u8"),))]
