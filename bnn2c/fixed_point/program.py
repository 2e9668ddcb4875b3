"""Straight-line integer programs for one element: what a fixed-point elementwise operation executes, in numpy and in C.

Every step is exact integer arithmetic on int32 (int64 where a step says `wide`); the compiler that builds a program
proves bounds, so that nothing overflows. `>>` is an arithmetic shift: floor division by a power of two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnn2c.analysis.steps import Array, Classes
from bnn2c.expr.tree import compress

INT32 = 2**31 - 1
QUOTIENT_LIMIT = 2**30


@dataclass(frozen=True, eq=False)
class Step:
    """One value of the program.

    Attributes:
        fn: a key of `FUNCTIONS`.
        args: numbers of the steps it reads.
        numbers: scalar parameters.
        arrays: constants of shape [row classes or 1, column classes or 1, C or 1], or a table.
        wide: a sum in int64, or the narrowing of one to int32.
    """

    fn: str
    args: tuple[int, ...] = ()
    numbers: tuple[int, ...] = ()
    arrays: tuple[Array, ...] = ()
    wide: bool = False


@dataclass(frozen=True, eq=False)
class Program:
    """Steps in order; the last one is the result. Constants are restricted to the representatives of `classes`."""

    steps: tuple[Step, ...]
    classes: Classes

    def run(self, inputs: Sequence[Array]) -> Array:
        """All elements at once, in int64."""
        values: list[Array] = []
        for step in self.steps:
            if step.fn == "load":
                values.append(inputs[step.numbers[0]].astype(np.int64))
                continue
            arrays = [a if step.fn in TABLES else self.spread(a) for a in step.arrays]
            found = FUNCTIONS[step.fn]([values[i] for i in step.args], arrays, step.numbers)
            values.append(np.asarray(found, np.int64))
        return values[-1]

    def spread(self, constant: Array) -> Array:
        """A constant at every row and column."""
        array = constant.astype(np.int64)
        array = array[self.classes.rows] if array.shape[0] > 1 else array
        return array[:, self.classes.cols] if array.shape[1] > 1 else array


def smallest(program: Program) -> Program:
    """The same program without axes along which constants are equal, and without classes that none tells apart."""
    steps = tuple(
        step if step.fn in TABLES else replace(step, arrays=tuple(map(compress, step.arrays))) for step in program.steps
    )
    told = [a.shape for step in steps if step.fn not in TABLES for a in step.arrays]
    rows, cols = (any(shape[axis] > 1 for shape in told) for axis in (0, 1))
    old = program.classes
    classes = replace(
        old,
        rows=old.rows if rows else np.zeros_like(old.rows),
        row_of=old.row_of if rows else old.row_of[:1],
        cols=old.cols if cols else np.zeros_like(old.cols),
        col_of=old.col_of if cols else old.col_of[:1],
    )
    return Program(steps, classes)


def of_loaded(program: Program) -> tuple[Program, tuple[int, ...]]:
    """The program with only the operands that it loads, and the numbers that these had."""
    loaded = tuple(sorted({step.numbers[0] for step in program.steps if step.fn == "load"}))
    steps = tuple(
        replace(step, numbers=(loaded.index(step.numbers[0]),)) if step.fn == "load" else step for step in program.steps
    )
    return Program(steps, program.classes), loaded


Values = Sequence[Array]
Scalars = Sequence[int]
TABLES = ("table", "lookup")


def _sum(x: Values, k: Values, n: Scalars) -> Array:
    total = k[-1] << n[0]
    for value, factor in zip(x, k, strict=False):
        total = total + value * factor
    return np.asarray(total)


def _narrow(x: Values, k: Values, n: Scalars) -> Array:
    """`(x + half) >> shift` between low and high."""
    half = (1 << n[0]) >> 1 if n[3] else 0
    return np.asarray(np.clip((x[0] + half) >> n[0], n[1], n[2]))


def _table(x: Values, k: Values, n: Scalars) -> Array:
    return interpolate(k[0].astype(np.int64), x[0])


def interpolate(table: Array, x: Array) -> Array:
    """Linear interpolation between 513 entries for x = 0 … 65535 (bnn2c_interpolate)."""
    place, part = x >> 7, x & 127
    return np.asarray(table[place] + (((table[place + 1] - table[place]) * part + 64) >> 7))


def _quotient(x: Values, k: Values, n: Scalars) -> Array:
    """`(x << shift) / y` towards zero; 2^30 with the sign of x for y = 0."""
    top, bottom = x[0] << n[0], np.where(x[1] == 0, 1, x[1])
    whole = np.abs(top) // np.abs(bottom) * np.sign(top) * np.sign(bottom)
    return np.asarray(np.where(x[1] == 0, np.sign(top) * QUOTIENT_LIMIT, whole))


FUNCTIONS: dict[str, Callable[[Values, Values, Scalars], Array]] = {
    "sum": _sum,
    "narrow": _narrow,
    "table": _table,
    "lookup": lambda x, k, n: k[0][x[0] + n[0]],
    "product": lambda x, k, n: x[0] * x[1],
    "quotient": _quotient,
    "abs": lambda x, k, n: np.abs(x[0]),
    "min": lambda x, k, n: np.minimum(x[0], x[1]),
    "max": lambda x, k, n: np.maximum(x[0], x[1]),
    "select": lambda x, k, n: np.where(x[0] != 0, x[1], x[2]),
    "sign": lambda x, k, n: np.sign(x[0]),
    "ge": lambda x, k, n: np.asarray(x[0] >= 0),
    "gt": lambda x, k, n: np.asarray(x[0] > 0),
    "eq": lambda x, k, n: np.asarray(x[0] == 0),
    "not": lambda x, k, n: np.asarray(x[0] == 0),
    "and": lambda x, k, n: np.asarray((x[0] != 0) & (x[1] != 0)),
    "or": lambda x, k, n: np.asarray((x[0] != 0) | (x[1] != 0)),
    "xor": lambda x, k, n: np.asarray((x[0] != 0) ^ (x[1] != 0)),
}
