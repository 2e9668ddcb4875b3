"""Print an integer program as C99: one constant per step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.expr.c_code import c_index
from bnn2c.fixed_point.program import INT32, Program, Step
from bnn2c.ir.types import TensorType

SPELLING = {
    "product": "{0} * {1}",
    "quotient": "bnn2c_quotient({0}, {1}, {n0}u)",
    "abs": "({0} < 0) ? -{0} : {0}",
    "min": "({0} < {1}) ? {0} : {1}",
    "max": "({0} > {1}) ? {0} : {1}",
    "select": "({0} != 0) ? {1} : {2}",
    "sign": "({0} > 0) ? 1 : (({0} < 0) ? -1 : 0)",
    "ge": "({0} >= 0) ? 1 : 0",
    "gt": "({0} > 0) ? 1 : 0",
    "eq": "({0} == 0) ? 1 : 0",
    "not": "({0} == 0) ? 1 : 0",
    "and": "(({0} != 0) && ({1} != 0)) ? 1 : 0",
    "or": "(({0} != 0) || ({1} != 0)) ? 1 : 0",
    "xor": "(({0} != 0) != ({1} != 0)) ? 1 : 0",
}


@dataclass
class PrintedProgram:
    """C statements for one element.

    Attributes:
        statements: lines that use h, w, c, r, q as indices and `@kN@` for constant arrays.
        result: name of the result.
        arrays: constant arrays by placeholder.
        positional: constants differ between rows or columns.
    """

    positional: bool
    statements: list[str] = field(default_factory=list)
    result: str = ""
    arrays: dict[str, Array] = field(default_factory=dict)

    def constant(self, value: Array) -> str:
        """A literal, or the element of a constant array."""
        if (value == value.flat[0]).all():
            return literal(int(value.reshape(-1)[0]))
        array = value.astype(smallest_integer(value))
        return f"{self.table(array)}[{c_index(array.shape, ('r', 'q', 'c'))}]"

    def table(self, array: Array) -> str:
        """The name of a constant array."""
        for name, known in self.arrays.items():
            if known.dtype == array.dtype and known.shape == array.shape and np.array_equal(known, array):
                return f"@{name}@"
        self.arrays[f"k{len(self.arrays)}"] = array
        return f"@k{len(self.arrays) - 1}@"


def literal(value: int) -> str:
    """An int32 constant."""
    return f"({value})" if value < 0 else str(value)


def smallest_integer(value: Array) -> str:
    """The narrowest signed type that holds all elements."""
    largest = int(np.abs(value.astype(np.int64)).max(initial=0))
    return "int8" if largest <= 127 else "int16" if largest <= 32767 else "int32"


def print_program(program: Program, inputs: Sequence[TensorType]) -> PrintedProgram:
    """Print the program for operands of the given types."""
    out = PrintedProgram(program.classes.shape[:2] != (1, 1))
    names: list[str] = []
    for number, step in enumerate(program.steps):
        operands = [names[i] for i in step.args]
        text = _load(step.numbers[0], inputs[step.numbers[0]]) if step.fn == "load" else _text(out, step, operands)
        kind = "int64_t" if step.wide and step.fn == "sum" else "int32_t"
        out.statements.append(f"const {kind} v{number} = {text};")
        names.append(f"v{number}")
    out.result = names[-1]
    return out


def _text(out: PrintedProgram, step: Step, names: list[str]) -> str:
    if step.fn == "sum":
        return _sum(out, step, names)
    if step.fn == "narrow":
        return _narrow(step, names[0])
    if step.fn == "table":
        return f"bnn2c_interpolate({out.table(step.arrays[0].astype(np.int16))}, {names[0]})"
    if step.fn == "lookup":
        return f"{out.table(step.arrays[0].astype(smallest_integer(step.arrays[0])))}[{names[0]} + {step.numbers[0]}]"
    extra = {f"n{i}": value for i, value in enumerate(step.numbers)}
    return SPELLING[step.fn].format(*names, **extra)


def _sum(out: PrintedProgram, step: Step, names: list[str]) -> str:
    parts = []
    for name, factor in zip(names, step.arrays, strict=False):
        one = f"(int64_t){name}" if step.wide else name
        parts.append(one if (factor == 1).all() else f"{one} * {out.constant(factor)}")
    shift = step.arrays[-1]
    if shift.any() or not parts:
        text = out.constant(shift)
        parts.append(f"(int64_t){text} * {1 << step.numbers[0]}" if step.wide else text)
    return " + ".join(parts)


def _narrow(step: Step, name: str) -> str:
    shift, low, high, half = step.numbers
    part = f"({name} + {(1 << shift) >> 1})" if half and shift else name
    suffix = "64" if step.wide else "32"
    text = f"bnn2c_shift{suffix}({part}, {shift}u)" if shift else part
    if not step.wide and low <= -INT32 and high >= INT32:
        return text
    return f"bnn2c_clamp{suffix}({text}, {literal(low)}, {literal(high)})"


def _load(number: int, kind: TensorType) -> str:
    if kind.storage != "bits":
        return f"in{number}[{c_index(kind.shape, ('h', 'w', 'c'))}]"
    pixel = c_index((kind.shape[0], kind.shape[1], 1), ("h", "w", "c"))
    channel = "c" if kind.shape[2] > 1 else "0u"
    words = kind.words_per_pixel
    return f"(int32_t)bnn2c_code(&in{number}[({pixel}) * {words * kind.planes}u], {channel}, {words}u, {kind.planes}u)"
