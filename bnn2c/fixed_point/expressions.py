"""Compile an elementwise expression to an integer program.

Every affine part becomes one sum of products with a common binary point, rounded to nearest and saturated. Intermediate
results have 16 bits, with a scale from the range that calibration saw; comparisons use the sign of an unrounded
difference; functions with one argument are tables of 512 linear pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bnn2c.analysis.steps import Array, classes_of
from bnn2c.expr import Expr
from bnn2c.expr.functions import FUNCTIONS
from bnn2c.fixed_point.formats import Format, NotFixed, Number
from bnn2c.fixed_point.forms import Base, Form, form_of
from bnn2c.fixed_point.program import INT32, QUOTIENT_LIMIT, Program, Step, smallest
from bnn2c.fixed_point.sums import ALL, HALF, NONE, SMALL_ERROR, scaled_sum

Ranges = Mapping[Expr, tuple[float, float]]

TESTS = {"ge": "ge", "gt": "gt", "le": "ge", "lt": "gt", "eq": "eq"}
LOGIC = {"and", "or", "xor", "not", "bool"}
STAIRS = {"round": HALF, "floor": NONE, "ceil": ALL}
CURVES = {"sqrt", "exp", "log", "tanh", "sigmoid", "softplus", "erf", "sin", "cos", "atan"}
SIZE = 32767
MARGIN = 1.05
PIECES = 512
SATURATED = {"sigmoid": 10.5, "tanh": 5.25, "erf": 3.0}


@dataclass
class Compiler:
    """Builds one program.

    Attributes:
        inputs: scale and bounds of each operand; `step` is unused.
        ranges: sub-expression -> smallest and largest real value seen in calibration.
        steps: the program so far.
    """

    inputs: Sequence[Number]
    ranges: Ranges
    steps: list[Step] = field(default_factory=list)
    numbers: dict[object, Number] = field(default_factory=dict)

    def add(self, step: Step) -> int:
        """Append a step."""
        self.steps.append(step)
        return len(self.steps) - 1

    def once(self, key: tuple[object, ...], make: Callable[[], Number]) -> Number:
        """The number for a key, computed once; forms and bases in it are compared by identity."""
        if key not in self.numbers:
            self.numbers[key] = make()
        return self.numbers[key]

    def range_of(self, form: Form) -> tuple[float, float]:
        """Real range of a form: what calibration saw, or what its operands can be."""
        if form.constant:
            return float(form.shift.min()), float(form.shift.max())
        base = form.only
        if base is not None and base.index >= 0:
            number = self.inputs[base.index]
            return self.ranges.get(form.source, (number.low * number.scale, number.high * number.scale))
        return self.ranges.get(form.source, (-1.0, 1.0))

    def scale_for(self, form: Form) -> float:
        """A scale at which the form fills 16 bits."""
        low, high = self.range_of(form)
        return max(abs(low), abs(high), 1e-30) * MARGIN / SIZE

    def realise(self, form: Form, scale: float, low: int = -SIZE, high: int = SIZE, rounding: float = HALF) -> Number:
        """The form as an integer of the given scale, saturated to low … high."""
        key = ("form", form, scale, low, high, rounding)
        return self.once(key, lambda: self._realise(form, scale, low, high, rounding))

    def _realise(self, form: Form, scale: float, low: int, high: int, rounding: float) -> Number:
        base = form.only
        if base is not None and rounding == HALF:
            direct = compute(self, base, scale, low, high)
            if direct is not None:
                return direct
        numbers, ratios = self.operands(form, scale)
        allowed = SMALL_ERROR if rounding == HALF else _decided_within(ratios)
        sums = scaled_sum(numbers, ratios, form.shift / scale, rounding, allowed)
        return self.narrowed(self.add(sums.step), sums.bound, scale, low, high, sums.shift, sums.step.wide)

    def operands(self, form: Form, scale: float) -> tuple[list[Number], list[Array]]:
        """Integers of the bases and their factors in units of `scale`."""
        numbers = [natural(self, base) for base in form.terms]
        ratios = [factor * n.scale / scale for n, factor in zip(numbers, form.terms.values(), strict=True)]
        return numbers, ratios

    def narrowed(
        self, step: int, bound: int, scale: float, low: int, high: int, shift: int, wide: bool = False, half: int = 0
    ) -> Number:
        """Shift right and saturate, as far as the bound makes that necessary."""
        reach = (bound >> shift) + 1
        free = not wide and -reach >= low and reach <= high
        limits = (-INT32, INT32) if free else (low, high)
        if free and shift == 0:
            return Number(step, scale, -reach, reach)
        number = self.add(Step("narrow", (step,), (shift, *limits, half), (), wide))
        return Number(number, scale, max(low, -reach), min(high, reach))

    def truth(self, form: Form) -> Number:
        """0 or 1: the form is not zero."""
        return self.once(("truth", form), lambda: self._truth(form))

    def _truth(self, form: Form) -> Number:
        base = form.only
        if base is not None and base.fn in TESTS:
            one, two = base.args if base.fn in ("ge", "gt", "eq") else base.args[::-1]
            return self.test(TESTS[base.fn], one.plus(two, -1.0, base.source))
        if base is not None and base.fn in LOGIC:
            parts = [self.truth(a) for a in base.args]
            if base.fn == "bool":
                return parts[0]
            return Number(self.add(Step(base.fn, tuple(p.step for p in parts))), 1.0, 0, 1)
        inner = self.test("eq", form)
        return Number(self.add(Step("not", (inner.step,))), 1.0, 0, 1)

    def test(self, fn: str, form: Form) -> Number:
        """Whether the form is >= 0, > 0 or = 0, decided before any rounding but that of the constants."""
        scale = max([float(np.abs(f).max()) * natural(self, b).scale for b, f in form.terms.items()], default=1.0)
        numbers, ratios = self.operands(form, scale)
        sums = scaled_sum(numbers, ratios, form.shift / scale, HALF if fn == "eq" else NONE, _decided_within(ratios))
        step = self.add(sums.step)
        if fn == "eq" or sums.step.wide:
            shift = sums.shift if fn == "eq" else 0
            step = self.add(Step("narrow", (step,), (shift, -INT32, INT32, 0), (), sums.step.wide))
        return Number(self.add(Step(fn, (step,))), 1.0, 0, 1)


def _decided_within(ratios: Sequence[Array]) -> float:
    """The error of a sum that decides: a unit of its finest operand, however coarse the others are."""
    return SMALL_ERROR * min([1.0, *(float(np.abs(r).max()) for r in ratios)])


def natural(c: Compiler, base: Base) -> Number:
    """The integer of a base at its own scale."""
    return c.once(("base", base), lambda: _natural(c, base))


def _natural(c: Compiler, base: Base) -> Number:
    if base.index >= 0:
        given = c.inputs[base.index]
        return replace(given, step=c.add(Step("load", (), (base.index,))))
    whole = Form({base: np.ones((1, 1, 1))}, np.zeros((1, 1, 1)), base.source)
    if base.fn in TESTS or base.fn in LOGIC:
        return c.truth(whole)
    if base.fn == "sign":
        positive, negative = (
            c.test("gt", base.args[0]),
            c.test("gt", base.args[0].times(-np.ones((1, 1, 1)), base.source)),
        )
        minus = Step("sum", (positive.step, negative.step), (0,), (_ones(1), _ones(-1), _ones(0)))
        return Number(c.add(minus), 1.0, -1, 1)
    if base.fn in STAIRS:
        return c.realise(base.args[0], 1.0, rounding=STAIRS[base.fn]) if base.fn != "round" else _rounded(c, base)
    if base.fn == "mul":
        return _product(c, base, c.scale_for(whole))
    if base.fn == "div":
        return _quotient(c, base, c.scale_for(whole))
    found = compute(c, base, c.scale_for(whole), -SIZE, SIZE)
    if found is None:
        raise NotFixed(f"{base.fn} has no fixed-point form")
    return found


def _ones(value: int) -> Array:
    return np.full((1, 1, 1), value, np.int64)


def _rounded(c: Compiler, base: Base) -> Number:
    form = base.args[0]
    numbers, ratios = c.operands(form, 1.0)
    sums = scaled_sum(numbers, ratios, form.shift, HALF, _decided_within(ratios))
    return c.narrowed(c.add(sums.step), sums.bound, 1.0, -SIZE, SIZE, sums.shift, sums.step.wide)


def _short(c: Compiler, form: Form) -> Number:
    """The form in at most 16 bits, as it is where it already has them."""
    base = form.only
    if base is not None:
        number = natural(c, base)
        if number.size <= 32768:
            return number
    return c.realise(form, c.scale_for(form))


def _product(c: Compiler, base: Base, scale: float) -> Number:
    one, two = (_short(c, a) for a in base.args)
    step = c.add(Step("product", (one.step, two.step)))
    bound, exact = one.size * two.size, one.scale * two.scale
    shift = max(0, int(np.ceil(np.log2(scale / exact))))
    return c.narrowed(step, bound, exact * 2.0**shift, -SIZE, SIZE, shift, half=1)


def _quotient(c: Compiler, base: Base, scale: float) -> Number:
    one, two = (_short(c, a) for a in base.args)
    step = c.add(Step("quotient", (one.step, two.step), (15,)))
    exact = one.scale / two.scale * 2.0**-15
    shift = max(0, int(np.ceil(np.log2(scale / exact))))
    return c.narrowed(step, QUOTIENT_LIMIT, exact * 2.0**shift, -SIZE, SIZE, min(shift, 29), half=1)


def compute(c: Compiler, base: Base, scale: float, low: int, high: int) -> Number | None:
    """A function straight at the wanted scale; None when it has to be computed at its own scale first."""
    if base.fn in ("relu", "abs"):
        if base.fn == "relu":
            return c.realise(base.args[0], scale, max(low, 0), max(high, 0))
        inner = c.realise(base.args[0], scale, -max(-low, high), max(-low, high))
        return _limited(c, Number(c.add(Step("abs", (inner.step,))), scale, 0, inner.size), low, high)
    if base.fn in ("min", "max"):
        return _extreme(c, base, scale, low, high)
    if base.fn == "where":
        test = c.truth(base.args[0])
        one, two = (c.realise(a, scale, low, high) for a in base.args[1:])
        step = c.add(Step("select", (test.step, one.step, two.step)))
        return Number(step, scale, min(one.low, two.low), max(one.high, two.high))
    if base.fn in CURVES or (base.fn == "pow" and base.args[1].constant and base.args[1].shift.size == 1):
        return _curve(c, base, scale, low, high)
    return None


def _limited(c: Compiler, number: Number, low: int, high: int) -> Number:
    if number.low >= low and number.high <= high:
        return number
    step = c.add(Step("narrow", (number.step,), (0, low, high, 0)))
    return Number(step, number.scale, max(low, number.low), min(high, number.high))


def _extreme(c: Compiler, base: Base, scale: float, low: int, high: int) -> Number:
    """Min and max; with a constant they only tighten the saturation."""
    for one, two in ((base.args[0], base.args[1]), (base.args[1], base.args[0])):
        if two.constant and two.shift.size == 1:
            edge = int(np.clip(np.rint(float(two.shift.reshape(-1)[0]) / scale), low, high))
            return c.realise(one, scale, edge, high) if base.fn == "max" else c.realise(one, scale, low, edge)
    first, second = (c.realise(a, scale, low, high) for a in base.args)
    step = c.add(Step(base.fn, (first.step, second.step)))
    return Number(step, scale, min(first.low, second.low), max(first.high, second.high))


def _curve(c: Compiler, base: Base, scale: float, low: int, high: int) -> Number:
    """513 values of a smooth function over the calibrated range of its argument, interpolated."""
    form = base.args[0]
    first, last = c.range_of(form)
    flat = SATURATED.get(base.fn)
    if flat is not None:
        first, last = max(first, -flat), min(max(last, -flat), flat)
    span = max(last - first, 1e-6)
    if base.fn not in ("sqrt", "log", "pow") and flat is None:
        first, span = first - 0.05 * span, 1.1 * span
    unit = span / 65535
    moved = Form(form.terms, form.shift - first, form.source)
    place = c.realise(moved, unit, 0, 65535)
    points = first + unit * (65536 / PIECES) * np.arange(PIECES + 1)
    extra = [np.asarray(float(base.args[1].shift.reshape(-1)[0]))] if base.fn == "pow" else []
    values = np.asarray(FUNCTIONS[base.fn].numpy(points, *extra), np.float64)
    known = np.isfinite(values)
    if not known.any():
        raise NotFixed(f"{base.fn} is nowhere finite in the calibrated range")
    finite = np.where(known, values, np.interp(points, points[known], values[known]))
    table = np.clip(np.rint(finite / scale), max(low, -SIZE), min(high, SIZE)).astype(np.int64)
    step = c.add(Step("table", (place.step,), (), (table,)))
    return Number(step, scale, int(table.min()), int(table.max()))


def compile_expression(
    expr: Expr, shape: tuple[int, int, int], inputs: Sequence[Number], ranges: Ranges, out: Format
) -> Program:
    """The program that computes `expr` in the format `out`.

    Args:
        expr: real-valued expression.
        shape: [H, W, C] of the result.
        inputs: scale and bounds of every operand.
        ranges: calibrated range of every sub-expression.
        out: format of the result.

    Raises:
        NotFixed: a function has no integer form.
    """
    classes = classes_of(expr, shape)
    compiler = Compiler(inputs, ranges)
    form = form_of(expr, classes)
    result = compiler.realise(form, out.scale, out.low, out.high)
    if result.step != len(compiler.steps) - 1:
        compiler.add(Step("narrow", (result.step,), (0, out.low, out.high, 0)))
    return smallest(Program(tuple(compiler.steps), classes))
