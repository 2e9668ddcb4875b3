"""Print an expression as C99: one `const float` per different operation, constants as literals or arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bnn2c.analysis.steps import Array, Classes, classes_of
from bnn2c.expr.functions import FUNCTIONS
from bnn2c.expr.tree import Apply, Arg, Const, Expr, Real, fold
from bnn2c.ir.types import TensorType


def c_float(value: float) -> str:
    """A float literal that reads back as the same float32."""
    number = np.float32(value)
    if np.isnan(number):
        return "BNN2C_NAN"
    if np.isinf(number):
        return "BNN2C_INFINITY" if number > 0 else "(-BNN2C_INFINITY)"
    text = f"{number!s}f" if "e" in str(number) or "." in str(number) else f"{number!s}.0f"
    return f"({text})" if number < 0 else text


@dataclass
class Printed:
    """C statements for one element.

    Attributes:
        pixel: `const float tN = …;` lines that use h, w, r, q as indices and `@kN@` for constant arrays: what is the
            same for all channels.
        statements: the other ones, which may use c too.
        result: name or literal of the result.
        arrays: the constant arrays by placeholder name, restricted to class representatives.
        functions: functions that were used.
        classes: rows and columns with equal constants.
    """

    classes: Classes
    pixel: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    result: str = ""
    arrays: dict[str, Real] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)

    @property
    def positional(self) -> bool:
        """True when constants differ between rows or columns."""
        return self.classes.shape[:2] != (1, 1)

    @property
    def headers(self) -> tuple[str, ...]:
        """Runtime headers of the functions."""
        return tuple(sorted({f"bnn2c_{header}.h" for fn in self.functions if (header := FUNCTIONS[fn].header)}))


def print_c(expr: Expr, shape: tuple[int, int, int], inputs: Sequence[TensorType]) -> Printed:
    """Print `expr` for elements of [H, W, C]."""
    classes = classes_of(expr, shape)
    out = Printed(classes)
    loaded: dict[int, str] = {}
    known: dict[str, str] = {}
    varying: set[str] = set()  # texts of values that differ between channels

    def state(name: str, value: str, differs: bool) -> None:
        (out.statements if differs else out.pixel).append(f"const float {name} = {value};")
        if differs:
            varying.add(name)

    def leaf(e: Arg | Const) -> str:
        if isinstance(e, Const):
            text = _constant(out, e.value)
            if e.value.shape[2] > 1:
                varying.add(text)
            return text
        if e.index not in loaded:
            loaded[e.index] = f"x{e.index}"
            state(f"x{e.index}", load(e.index, inputs[e.index]), inputs[e.index].shape[2] > 1)
        return loaded[e.index]

    def node(e: Apply, args: list[str]) -> str:
        operands = args + [c_float(p) for p in e.params]
        value = FUNCTIONS[e.fn].c.format(*operands)
        if value not in known:
            known[value] = f"t{len(out.pixel) + len(out.statements)}"
            state(known[value], value, not varying.isdisjoint(operands))
            out.functions.add(e.fn)
        return known[value]

    out.result = fold(classes.restrict(expr), leaf, node)
    return out


def _constant(out: Printed, value: Real) -> str:
    if value.size == 1:
        return c_float(float(value.reshape(-1)[0]))
    array = value.astype(np.float32)
    name = next((k for k, a in out.arrays.items() if a.shape == array.shape and a.tobytes() == array.tobytes()), "")
    if not name:
        name = f"k{len(out.arrays)}"
        out.arrays[name] = array
    return f"@{name}@[{c_index(array.shape, ('r', 'q', 'c'))}]"


def class_maps(classes: Classes) -> dict[str, Array]:
    """uint16 class numbers of the rows and of the columns, where constants differ between them."""
    numbered = (("rows", classes.shape[0], classes.rows), ("cols", classes.shape[1], classes.cols))
    return {name: numbers.astype(np.uint16) for name, count, numbers in numbered if count > 1}


def element_lines(
    classes: Classes, pixel: Sequence[str], statements: Sequence[str], result: str, kind: TensorType
) -> dict[str, list[str]]:
    """C lines of a pixel (h, w), whose row and column class are r and q, and those that store its element c."""
    lookups = ("const uint32_t r = @rows@[h];", "const uint32_t q = @cols@[w];")
    used = [line for line, count in zip(lookups, classes.shape[:2], strict=True) if count > 1]
    cast = "" if kind.storage == "f32" else f"({kind.c_type})"
    return {"pixel": [*used, *pixel], "lines": [*statements, f"*out = {cast}{result};"]}


def c_index(shape: tuple[int, ...], names: tuple[str, str, str]) -> str:
    """C index of an array that broadcasts along its axes of size 1."""
    text = ""
    for size, name in zip(shape, names, strict=True):
        if size > 1:
            text = f"({text}) * {size}u + {name}" if text else name
    return text or "0u"


def load(number: int, kind: TensorType) -> str:
    """C expression that reads element (h, w, c) of input `number` as float."""
    if kind.storage != "bits":
        read = f"in{number}[{c_index(kind.shape, ('h', 'w', 'c'))}]"
        return read if kind.storage == "f32" else f"(float){read}"
    pixel = c_index((kind.shape[0], kind.shape[1], 1), ("h", "w", "c"))
    channel = "c" if kind.shape[2] > 1 else "0u"
    words = kind.words_per_pixel * kind.planes
    return f"(float)bnn2c_code(&in{number}[({pixel}) * {words}u], {channel}, {kind.words_per_pixel}u, {kind.planes}u)"
