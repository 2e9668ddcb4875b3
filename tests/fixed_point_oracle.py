"""What fixed point may differ by from real arithmetic, value by value, and where it differs by more.

The integer graph is executed beside the float32 graph that it was made of, in float64 with intervals: every rounding
that docs/fixed-point.md allows widens them. Each integer times its scale has to lie in its interval,

* `steps`: when every operation gets the numbers that the integer graph gave it: errors do not add up, so bounds are a
  few units of the result;
* `whole`: when it gets the intervals of its operands: from the inputs to the outputs, which onnxruntime has to agree
  with, too.

A decision (threshold, comparison, rounding, argmax) that is the same on the whole interval has to be taken so; one that
is not is taken as the integer graph took it.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
from models import Array, compiled

from bnn2c.expr import Apply, Arg, Expr
from bnn2c.expr.functions import FUNCTIONS
from bnn2c.expr.tree import fold
from bnn2c.fixed_point import compile as fixed_point
from bnn2c.fixed_point.calibrate import Calibration
from bnn2c.fixed_point.formats import Format
from bnn2c.ir import Graph, Node
from bnn2c.ir.graph import execute
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.average_pool import AveragePool
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.embedding import Embedding
from bnn2c.ops.map import Map
from bnn2c.ops.mat_mul import MatMul
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.rearrange import Rearrange
from bnn2c.ops.reduce import Reduce
from bnn2c.ops.sign_conv2d import SignConv2d
from bnn2c.ops.softmax import Softmax
from bnn2c.pipeline import Compiled
from bnn2c.verify.bounded import Bounded
from bnn2c.verify.compare import tolerances
from bnn2c.verify.inner import Inner
from bnn2c.verify.op_errors import error_of, full_error
from bnn2c.verify.rounding import Judge
from bnn2c.verify.runner import run_target
from bnn2c.verify.vectors import Vectors

HALF = 0.5 + 5e-3  # a rounding to nearest, of a product with a float32 or 31-bit factor
SUM = HALF + 2  # an elementwise sum: the rounding of its constants costs at most two units
SHORT = 1.05 / 32767  # one unit of an intermediate result, in parts of its calibrated range
CURVE = 5e-4  # the pieces of a function, in parts of its range
AFFINE = frozenset(("add", "sub", "neg", "dequant", "descend"))
TESTS = frozenset(("ge", "gt", "le", "lt", "eq", "not", "and", "or", "xor", "bool", "isnan", "sign", "where"))
CURVES = frozenset(("sqrt", "exp", "log", "tanh", "sigmoid", "softplus", "erf", "atan", "pow"))
FARTHEST = 1e30
NARROW = 8  # units: the middle of a wider interval is no estimate of the real number


@dataclass
class Stages:
    """The graphs of one compilation on both sides of the conversion to fixed point.

    Attributes:
        compiled: the result.
        real: the float32 graph.
        fixed: the integer graph.
        formats: of the real values of `fixed`.
        calibration: what was seen of the values and sub-expressions of `real`.
        mode: int16 or int8.
    """

    compiled: Compiled
    real: Graph
    fixed: Graph
    formats: dict[str, Format]
    calibration: Calibration
    mode: str


def stages(model: onnx.ModelProto, **options: Any) -> Stages | None:
    """Compile; None for a network without a real value that becomes an integer."""
    seen: list[tuple[Any, ...]] = []
    rewrite = fixed_point.rewrite

    def noted(graph: Graph, calibration: Calibration, formats: dict[str, Format], real: str) -> Any:  # noqa: ANN401
        found = rewrite(graph, calibration, formats, real)
        seen.append((graph, found[0], found[1], calibration, real))
        return found

    with mock.patch.object(fixed_point, "rewrite", noted):
        result = compiled(model, **options)
    return Stages(result, *seen[-1]) if seen else None


@dataclass
class Walk:
    """One sample through both graphs.

    Attributes:
        by: the graphs.
        forced: every operation gets the numbers of the integer graph (`steps`), else intervals (`whole`).
        got: all values of the integer graph.
        values: of the float graph, with half the width of their intervals as the error.
        problems: what lies outside of its interval.
        errors: kind of operation -> different errors in units of the result, of numbers within the range.
    """

    by: Stages
    forced: bool
    got: dict[str, Array]
    values: dict[str, Bounded] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    errors: dict[str, list[Array]] = field(default_factory=dict)

    def run(self, feeds: Sequence[Array]) -> None:
        """Evaluate and compare all values."""
        makers = {node.output: node for node in self.by.fixed.nodes}
        for port, feed in zip(self.by.real.inputs, feeds, strict=True):
            kind = self.by.real.types[port.value]
            x = np.asarray(feed).reshape(kind.shape)
            self.values[port.value] = Bounded(x.astype(np.float64) if kind.storage == "f32" else x, np.zeros(1))
            if f"{port.value}_fixed" in self.got:
                self._read(port.value)
        for node in self.by.real.nodes:
            maker = makers.get(node.output)
            inputs = [self._operand(name, maker) for name in node.inputs]
            found = interval(self.by, node, inputs)
            self.values[node.output] = found if maker is None else self._compared(node, found)

    def _read(self, name: str) -> None:
        """A float input as an integer: what elementwise operations and convolutions read."""
        given = self.by.formats[name]
        exact = Bounded(self.values[name].value, np.full(1, HALF * given.scale))
        self.values[f"{name}_fixed"] = self._within(name, "to_fixed", exact, self.got[f"{name}_fixed"], given)

    def _operand(self, name: str, maker: Node | None) -> Bounded:
        whole = f"{name}_fixed"
        return self.values[whole if whole in self.values and name not in getattr(maker, "inputs", ()) else name]

    def _compared(self, node: Node, found: Bounded) -> Bounded:
        name, got = node.output, self.got[node.output]
        if self.by.real.types[name].storage == "f32":
            given = self.by.formats.get(name)
            if given is None and got.dtype.kind != "f":
                self.problems.append(f"{name} ({node.op.kind}): integers without a scale")
                return found
            if given is not None and got.dtype.kind != "f":
                return self._within(name, node.op.kind, found, got, given)
            allowed = 1e-6 * np.abs(found.value) + full_error(found)
            self._note(name, node.op.kind, np.abs(got - found.value) > allowed)
            return Bounded(got.astype(np.float64), np.zeros(1)) if self.forced else found
        # An integer that was a number of a scale for a while is the nearest one again.
        between = np.where(found.value == np.rint(found.value), 0.0, 0.5)
        wrong = np.abs(got.astype(np.float64) - found.value) > full_error(found) + between + 1e-6
        self._note(name, node.op.kind, wrong)
        return Bounded(got, np.zeros(1))

    def _within(self, name: str, kind: str, found: Bounded, got: Array, given: Format) -> Bounded:
        """Whether integers are in the interval, saturated to their format; the values to go on with."""
        real, error = got * given.scale, full_error(found)
        slack = 1e-9 * given.scale
        low, high = (
            np.clip(found.value + s * error, given.low * given.scale, given.high * given.scale) for s in (-1, 1)
        )
        off = np.maximum(low - real, real - high)
        self._note(name, kind, off > slack, float(off.max() / given.scale))
        known = (np.abs(found.value) < 0.99 * given.high * given.scale) & (error < NARROW * given.scale)
        units = ((real - found.value) / given.scale)[known & (found.value != 0)]
        self.errors.setdefault(kind, []).append(np.unique(units.round(6)))
        return Bounded(real, np.zeros(1)) if self.forced else found

    def _note(self, name: str, kind: str, wrong: Array, by: float = 0.0) -> None:
        if wrong.any():
            self.problems.append(f"{name} ({kind}): {int(wrong.sum())} of {wrong.size} outside, by {by:.3g} units")


def interval(by: Stages, node: Node, inputs: Sequence[Bounded]) -> Bounded:
    """The result of a float operation on intervals, widened by what its fixed-point form may round."""
    op, given = node.op, by.formats.get(node.output)
    if isinstance(op, Map):
        return _map(by, op, inputs, given)
    value = op.reference(*(x.value for x in inputs))
    if isinstance(op, (Quantize, ArgMax)):
        return _decided(op, inputs[0], value)
    if value.dtype.kind != "f":
        return Bounded(value, np.zeros(1))
    error = (_shares(inputs[0], value) if isinstance(op, Softmax) else error_of(op, inputs, value)) + (
        0.0 if given is None else _rounding(by, node, inputs, given)
    )
    return Bounded(value.astype(np.float64), error)


def _shares(x: Bounded, value: Array) -> Array:
    """Logits that are off by e change a share p by p * (exp(2 e) - 1) at most, and no share is more than 1."""
    off = np.minimum(2 * full_error(x).max(axis=2, keepdims=True), 50.0)
    return np.asarray(np.minimum(value * np.expm1(off), 1.0))


def _decided(op: Quantize | ArgMax, x: Bounded, value: Array) -> Bounded:
    """All codes, or places, that numbers of the interval give."""
    error = full_error(x) + 1e-9 * np.abs(x.value)
    if isinstance(op, ArgMax):
        real = x.value * (-1.0 if op.smallest else 1.0)
        able = real + error >= (real - error).max(axis=2, keepdims=True)
        unsure = able.sum(axis=2, keepdims=True).reshape(value.shape) > 1
        tie = not full_error(x).any()  # equal integers: the rule of ONNX decides
        return Bounded(value, np.where(unsure & (not tie), FARTHEST, 0.0))
    ends = [op.reference(x.value + sign * error).astype(np.float64) for sign in (-1, 0, 1)]
    same = (ends[0] == ends[1]) & (ends[1] == ends[2])
    return Bounded(value, np.where(same, 0.0, FARTHEST))


def _rounding(by: Stages, node: Node, inputs: Sequence[Bounded], given: Format) -> Array:
    """What an operation that is not elementwise rounds, in real numbers."""
    op: Any = node.op
    if isinstance(op, (Conv2d, SignConv2d)):
        unit = by.formats.get(
            node.inputs[0], Format("i8", np.abs(inputs[0].value).max() / 127)
        ).scale  # bytes as they are
        mean = np.abs(by.calibration.spreads[node.inputs[0]].mean).max()
        return _weights(by, op, inputs[0], unit, float(mean)) + HALF * given.scale
    if isinstance(op, Softmax):
        found = op.reference(inputs[0].value)
        return np.asarray(HALF * given.scale + 6.2e-4 * found + (found * found.shape[2] + 1) / 32767)
    if isinstance(op, Reduce) and op.function in ("mean", "sum"):  # in the format of the operand, and then in its own
        terms = inputs[0].value.shape[1] if op.function == "sum" else 1
        return np.full(1, HALF * terms * by.formats[node.inputs[0]].scale + SUM * given.scale)
    steps = {Embedding: HALF, AveragePool: HALF, MatMul: 1.0}.get(type(op), 0.0)
    if isinstance(op, Rearrange) and (op.index < 0).any():
        steps = HALF  # what fills the places without a source
    return np.full(1, steps * given.scale)


def _weights(by: Stages, op: Conv2d | SignConv2d, x: Bounded, unit: float, mean: float) -> Array:
    """Weights of 7 or up to 15 bits, fewer where the sum of 32 bits asks for it; bias and padding are rounded, too.

    What rounding the weights changes for the mean is taken off in the bias, at the borders too.
    """
    if isinstance(op, SignConv2d):
        size: Any = replace(op, weights=np.zeros_like(op.weights), scale=np.abs(op.scale), pad_value=1.0)
        return np.asarray(size.reference(np.zeros_like(x.value)) * HALF * unit + HALF * unit * size.scale)
    peak = np.abs(op.weights).reshape(len(op.weights), -1).max(axis=1).astype(np.float64)
    bits = 127.0 if by.mode == "int8" else min(32767.0, 2.0**31 / (1.5 * 32768 * op.weights[0].size))
    given = np.abs(x.value) + full_error(x)
    ones = replace(op, weights=np.ones_like(op.weights), pad_value=float(np.max(np.abs(op.pad_value))) + mean)
    size = replace(op, weights=np.abs(op.weights), pad_value=1.0)
    off = (ones.reference(given + mean) + unit) * HALF * peak / bits
    return np.asarray(off + size.reference(np.zeros_like(x.value)) * HALF * unit)


def _map(by: Stages, op: Map, inputs: Sequence[Bounded], given: Format | None) -> Bounded:
    """An expression on intervals: every function at the corners of its operands' intervals."""
    unit = given.scale if given is not None else 0.0

    def leaf(e: Expr) -> object:
        if isinstance(e, Arg):
            x = inputs[e.index]
            middle, error = x.value.astype(np.float64), full_error(x)
            return middle - error, middle + error
        return (np.asarray(e.value, np.float64),) * 2  # type: ignore[attr-defined]

    def node(e: Apply, args: list[Any]) -> object:
        linear = e.fn in AFFINE or (e.fn in ("mul", "div") and any(not _moving(a) for a in e.args[-1:]))
        if e.fn == "mul" and not all(_moving(a) for a in e.args):
            linear = True
        if not linear:
            args = [_widened(by, one, arg, 0.0) for one, arg in zip(e.args, args, strict=True)]
        if e.fn in CURVES:
            args[0] = _tabulated(by, e.args[0], args[0])
        found = _corners(e, args)
        return found if linear or e.fn in TESTS - {"where"} else _widened(by, e, found, unit)

    low, high = fold(op.expr, leaf, node)  # type: ignore[misc]
    low, high = (np.broadcast_to(x, op.shape) for x in (low, high))
    error = (high - low) / 2 + SUM * unit * (op.storage == "f32")
    return Bounded((low + high) / 2, error)


def _moving(e: Expr) -> bool:
    """Whether it holds an operand."""
    return isinstance(e, Arg) or any(_moving(one) for one in getattr(e, "args", ()))


def _widened(by: Stages, e: Expr, ends: tuple[Array, Array], unit: float) -> tuple[Array, Array]:
    """Rounded to 16 bits of the calibrated range, and saturated there."""
    if not _moving(e) or isinstance(e, Arg) or getattr(e, "fn", "") in TESTS - {"where"}:
        return ends
    low, high = by.calibration.ranges.get(e, (-1.0, 1.0))
    reach = max(abs(low), abs(high), 1e-30)
    error = SUM * max(reach * SHORT, unit) + (CURVE * reach if getattr(e, "fn", "") in CURVES else 0.0)
    edge = reach * 1.04
    return np.minimum(ends[0], np.clip(ends[0], -edge, edge)) - error, np.maximum(
        ends[1], np.clip(ends[1], -edge, edge)
    ) + error


def _tabulated(by: Stages, e: Expr, ends: tuple[Array, Array]) -> tuple[Array, Array]:
    """The argument of a curve: a little beyond the calibrated range the curve is flat."""
    low, high = by.calibration.ranges.get(e, (-FARTHEST, FARTHEST))
    low, high = low - 0.04 * (high - low), high + 0.04 * (high - low)
    return np.minimum(ends[0], np.clip(ends[0], low, high)), np.maximum(ends[1], np.clip(ends[1], low, high))


def _corners(e: Apply, args: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Least and greatest result; the functions are monotone on both sides of 0."""
    fn = FUNCTIONS[e.fn].numpy
    if e.fn == "eq":
        (a, b), (c, d) = args
        return ((a == b) & (c == d) & (a == c)).astype(np.float64), ((a <= d) & (c <= b)).astype(np.float64)
    points = [(low, high, np.clip(0.0, low, high)) if (low != high).any() else (low,) for low, high in args]
    found = [np.asarray(fn(*corner, *e.params), np.float64) for corner in itertools.product(*points)]
    shape = np.broadcast_shapes(*(x.shape for x in found))
    stack = np.nan_to_num(
        np.stack([np.broadcast_to(x, shape) for x in found]), nan=FARTHEST, posinf=FARTHEST, neginf=-FARTHEST
    )
    low, high = stack.min(axis=0), stack.max(axis=0)
    if e.fn == "div":
        through = np.broadcast_to((args[1][0] <= 0) & (args[1][1] >= 0), shape)
        return np.where(through, -FARTHEST, low), np.where(through, FARTHEST, high)
    return low, high


def signed_errors(by: Stages, feeds: Sequence[Array]) -> dict[str, list[Array]]:
    """Kind of operation -> errors of each in units of its result: rounding to nearest makes no error in the mean."""
    walk = Walk(by, True, execute(by.fixed, feeds, keep=True))
    walk.run(feeds)
    return walk.errors


def differences(by: Stages, model: onnx.ModelProto, feeds: Sequence[Array], wanted: Sequence[Array]) -> Iterator[str]:
    """Where the integer graph is further from real arithmetic, or from onnxruntime's `wanted`, than it may be."""
    got, float32 = (execute(graph, feeds, keep=True) for graph in (by.fixed, by.real))
    for forced in (True, False):
        walk = Walk(by, forced, got)
        walk.run(feeds)
        yield from (f"{'steps' if forced else 'whole'}: {problem}" for problem in walk.problems)
    yield from _scaled(by, got, walk.values)
    if all((got[k] == x).all() for k, x in float32.items() if x.dtype.kind != "f" and k in got):
        found = list(_apart(by, got, walk.values, wanted))
        yield from found if found and not _rounding_of_float32(model, feeds, wanted) else []


def _scaled(by: Stages, got: dict[str, Array], values: dict[str, Bounded]) -> Iterator[str]:
    """Where the integers of outputs, times the scale that the manifest tells, are not in their intervals."""
    for port, told in zip(by.fixed.outputs, by.compiled.manifest["outputs"], strict=True):
        real, found = got[port.value] * told.get("scale", 1.0), values[port.value]
        if (np.abs(real - found.value) > full_error(found) + 1e-6 * np.abs(real)).any():
            yield f"scale: {port.name} is not {told.get('scale')} times its integers"


def _rounding_of_float32(model: onnx.ModelProto, feeds: Sequence[Array], wanted: Sequence[Array]) -> bool:
    """Whether onnxruntime decides a tie by rounding: `verify` says so of the network in float32."""
    found = compiled(model, real="float32")
    vectors, allowed = Vectors([list(feeds)], [list(feeds)]), tolerances(found.manifest["outputs"], [wanted])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        judge = Judge(found, path, vectors, [list(wanted)], allowed)
        return judge.judge(0, found.reference(feeds), Inner(found, "host", vectors, run_target)).rounding


def _apart(by: Stages, got: dict[str, Array], values: dict[str, Bounded], wanted: Sequence[Array]) -> Iterator[str]:
    """Where onnxruntime's outputs are not in the intervals in which those of the integer graph are."""
    for port, reference in zip(by.fixed.outputs, wanted, strict=True):
        found, real = values[port.value], np.asarray(reference, np.float64).reshape(got[port.value].shape)
        off = np.abs(real - found.value) - full_error(found)
        if (off > 2e-5 * np.abs(real).max(initial=1e-30)).any():
            yield f"onnxruntime: {port.name} is outside by {off.max():.3g}"
