"""Executes a graph in numpy with error bounds and with decisions taken from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bnn2c.ir import Graph, Node, Op
from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.best_channel import BestChannel
from bnn2c.ops.map import Map
from bnn2c.ops.mapped_conv2d import MappedConv2d
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.quantized_conv2d import QuantizedConv2d
from bnn2c.ops.ranked_conv2d import RankedConv2d
from bnn2c.verify.bounded import NEXT, ZERO, Array, Bounded, half_rounding
from bnn2c.verify.decisions import Decider, Step
from bnn2c.verify.expressions import evaluate_bounded
from bnn2c.verify.op_errors import error_of, full_error

__all__ = ["Values", "evaluate", "results"]

Values = dict[str, Bounded]


def evaluate(
    graph: Graph,
    feeds: Sequence[Array],
    decide: Decider,
    half: bool = False,
    real: type = np.float32,
    known: Values | None = None,
) -> Values:
    """All values of the graph on one sample; the numbers of `ir.execute` when nothing is decided differently.

    Args:
        graph: what is executed.
        feeds: its inputs.
        decide: takes the decisions.
        half: another execution may round every real result to float16.
        real: numpy type of real numbers; float64 is exact for most purposes.
        known: values that need not be computed again.
    """
    values: Values = dict(known or {})
    for port, feed in zip(graph.inputs, feeds, strict=True):
        kind = graph.types[port.value]
        value: Array = np.asarray(feed).reshape(kind.shape).astype(_type(kind.storage, real))
        values[port.value] = Bounded(value, half_rounding(value) if half and value.dtype.kind == "f" else ZERO)
    for node in graph.nodes:
        if node.output not in values:
            values[node.output] = _node(node, [values[name] for name in node.inputs], decide, half, real)
    return values


def results(graph: Graph, values: Values) -> list[Array]:
    """The graph's outputs, in the order of its ports."""
    return [values[port.value].value for port in graph.outputs]


def _type(storage: str, real: type) -> type:
    return real if storage == "f32" else NUMPY_TYPES[storage]


def _node(node: Node, inputs: Sequence[Bounded], decide: Decider, half: bool, real: type) -> Bounded:
    op = node.op
    if isinstance(op, Map):
        found = evaluate_bounded(op.expr, inputs, node.output, decide, half, real)
        value: Array = np.broadcast_to(found.value, op.shape).astype(_type(op.storage, real))
        unsure = None if found.unsure is None else np.broadcast_to(found.unsure, op.shape)
        return Bounded(value, np.broadcast_to(found.error, op.shape), unsure)
    if isinstance(op, MappedConv2d):
        exact = Bounded(op.conv.reference(inputs[0].value), ZERO)
        return _node(replace(node, op=op.map), op.operands(inputs[1:], exact), decide, half, real)
    if isinstance(op, (BestChannel, RankedConv2d)):
        sums = op.conv.reference(inputs[0].value)
        compared = Bounded(sums, _error(op.conv, inputs, sums))
        if isinstance(op, RankedConv2d) and op.map is not None:
            compared = _node(replace(node, op=op.map), [compared], decide, half, real)
        return _decided(node.output, op.pick, compared, decide)
    if isinstance(op, QuantizedConv2d):
        sums = op.conv.reference(*(x.value for x in inputs))
        return _decided(node.output, op.step, Bounded(sums, _error(op.conv, inputs, sums)), decide)
    if isinstance(op, (Quantize, ArgMax)):
        return _decided(node.output, op, inputs[0], decide)
    value = op.reference(*(x.value for x in inputs))
    value = np.asarray(value, real) if value.dtype == np.float32 else value
    error = _error(op, inputs, value)
    return Bounded(value, error + half_rounding(value) if half and value.dtype.kind == "f" else error)


def _error(op: Op, inputs: Sequence[Bounded], value: Array) -> Array:
    """Codes and integers are exact."""
    return error_of(op, inputs, value) if value.dtype.kind == "f" else ZERO


def _decided(site: str, op: Quantize | ArgMax, x: Bounded, decide: Decider) -> Bounded:
    value = op.reference(x.value)
    if isinstance(op, ArgMax):
        return Bounded(decide(_winners(site, op, x, value))[0], ZERO)
    low, high = _codes(op, x)
    return Bounded(decide(Step(site, value, np.minimum(low, value), np.maximum(high, value)))[0], ZERO)


def _codes(op: Quantize, x: Bounded) -> tuple[Array, Array]:
    """Least and greatest code of numbers within the bound."""
    if not x.error.any():
        code = op.reference(x.value)
        return code, code
    real = x.value.astype(np.float64)
    ends = [op.reference(real - x.error), op.reference(real), op.reference(real + x.error)]
    return np.minimum.reduce(ends), np.maximum.reduce(ends)


def _winners(site: str, op: ArgMax, x: Bounded, value: Array) -> Step:
    """Every index that could be the winner's."""
    error = full_error(x)
    if not error.any():
        return Step(site, value, value, value)
    real = x.value.astype(np.float64) * (-1 if op.smallest else 1)
    able, equal = (real + e >= (real - e).max(axis=2, keepdims=True) for e in (error, NEXT * error))
    first, last = able.argmax(axis=2), able.shape[2] - 1 - able[:, :, ::-1].argmax(axis=2)
    tie = op.reference(equal.astype(np.float32) * (-1 if op.smallest else 1))
    return Step(site, value, first[..., None], last[..., None], able[:, :, None], tie)
