"""Decisions whose results can be read off the outputs of a graph, or off other tensors of it.

An index of a maximum, a level or a truth value often goes to an output as it is: moved, joined with others, converted
to another type or, in Hardmax, compared with every index. What another execution decided there is then known, however
many elements were near a tie.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bnn2c.expr import Apply, Arg, Const
from bnn2c.expr.tree import count_nodes, evaluate
from bnn2c.ir import Graph, Node, TensorType
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.best_channel import BestChannel
from bnn2c.ops.concat import Concat
from bnn2c.ops.convert_layout import ConvertLayout
from bnn2c.ops.level_values import LevelValues
from bnn2c.ops.map import Map
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.quantized_conv2d import QuantizedConv2d
from bnn2c.ops.ranked_conv2d import RankedConv2d
from bnn2c.ops.rearrange import Rearrange
from bnn2c.verify.bounded import Array
from bnn2c.verify.expressions import DECISIONS

__all__ = ["decided", "decision_site", "visible"]


def decision_site(node: Node) -> str | None:
    """The name under which the node decides (`Step.site`) when its output is what it decided, else None."""
    if isinstance(node.op, (ArgMax, BestChannel, Quantize, QuantizedConv2d, RankedConv2d)):
        return node.output
    if isinstance(node.op, Map) and isinstance(node.op.expr, Apply) and node.op.expr.fn in DECISIONS:
        last = count_nodes(node.op.expr) - 1
        return f"{node.output}#{last}" if last else node.output
    return None


def _at_site(graph: Graph, node: Node, flat: Array) -> Array:
    """Results of the node [its elements] as results of its decision, which a broadcast may only repeat, flat."""
    kind = graph.types[node.output]
    if not isinstance(node.op, Map) or not node.inputs:
        return flat
    ones: list[Array] = [np.ones(graph.types[name].shape, np.float32) for name in node.inputs]
    with np.errstate(all="ignore"):  # only the shape matters
        decided = evaluate(node.op.expr, ones).shape
    return flat.reshape(kind.shape)[tuple(map(slice, decided))].ravel()


def visible(graph: Graph, outputs: Sequence[Array]) -> dict[str, Array]:
    """Site -> results, flat float64, NaN where unknown, of the decisions that the outputs of an execution show."""
    known: dict[str, Array] = {}
    for port, array in zip(graph.outputs, outputs, strict=True):
        _learn(known, port.value, np.ravel(array).astype(np.float64))
    return decided(graph, known)


def decided(graph: Graph, known: Mapping[str, Array]) -> dict[str, Array]:
    """Site -> results, as `visible`, of the decisions that known values, flat float64, NaN where unknown, show."""
    known, found = dict(known), {}
    for node in reversed(graph.nodes):
        flat = known.get(node.output)
        if flat is None or np.isnan(flat).all():
            continue
        site = decision_site(node)
        if site is not None:
            found[site] = _at_site(graph, node, flat)
        for value, source in _sources(graph, node, flat):
            _learn(known, value, source)
    return found


def _learn(known: dict[str, Array], value: str, flat: Array) -> None:
    """Add what is not known yet."""
    old = known.get(value, flat)
    known[value] = np.where(np.isnan(old), flat, old)


def _sources(graph: Graph, node: Node, flat: Array) -> Iterator[tuple[str, Array]]:
    """What is known about the inputs of a node that moves or renames its elements, or finds a constant among them."""
    op, kinds = node.op, [graph.types[name] for name in node.inputs]
    if isinstance(op, Rearrange):
        source, index = np.full(kinds[0].size, np.nan), op.index.ravel()
        moved = (index >= 0) & ~np.isnan(flat)
        source[index[moved]] = flat[moved]
        yield node.inputs[0], source
    elif isinstance(op, ConvertLayout):
        yield node.inputs[0], flat
    elif isinstance(op, Concat):
        ends = np.cumsum([kind.shape[op.axis] for kind in kinds])[:-1]
        parts = np.split(flat.reshape(graph.types[node.output].shape), ends, axis=op.axis)
        yield from ((name, part.ravel()) for name, part in zip(node.inputs, parts, strict=True))
    elif isinstance(op, LevelValues) and all(len(np.unique(row)) == len(row) for row in op.values):
        match = op.values[np.arange(flat.size) % len(op.values)] == flat[:, None]
        yield node.inputs[0], np.where(match.any(axis=1), match.argmax(axis=1), np.nan)
    elif isinstance(op, Map) and isinstance(op.expr, Arg) and kinds[op.expr.index].shape == op.shape:
        yield node.inputs[op.expr.index], flat
    elif isinstance(op, Map):
        yield from _equal(node, op, kinds, flat)


def _equal(node: Node, op: Map, kinds: Sequence[TensorType], flat: Array) -> Iterator[tuple[str, Array]]:
    """What elements are that were found to be equal to a constant."""
    match op.expr:
        case Apply("eq", (Arg(number), Const(constant)) | (Const(constant), Arg(number))):
            kind, hit = kinds[number], flat == 1
            place = np.broadcast_to(np.arange(kind.size).reshape(kind.shape), op.shape).ravel()
            source = np.full(kind.size, np.nan)
            source[place[hit]] = np.broadcast_to(constant, op.shape).ravel()[hit]
            yield node.inputs[number], source
