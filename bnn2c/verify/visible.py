"""Decisions whose results can be read off the outputs of a graph.

An index of a maximum, a level or a truth value often goes to an output as it is: moved, joined with others or converted
to another type. What another execution decided there is then known, however many elements were near a tie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bnn2c.expr import Apply, Arg
from bnn2c.expr.tree import count_nodes, evaluate
from bnn2c.ir import Graph, Node
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.best_channel import BestChannel
from bnn2c.ops.concat import Concat
from bnn2c.ops.level_values import LevelValues
from bnn2c.ops.map import Map
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.quantized_conv2d import QuantizedConv2d
from bnn2c.ops.ranked_conv2d import RankedConv2d
from bnn2c.ops.rearrange import Rearrange
from bnn2c.verify.bounded import Array
from bnn2c.verify.expressions import DECISIONS

__all__ = ["at_site", "decision_site", "visible"]


def decision_site(node: Node) -> str | None:
    """The name under which the node decides (`Step.site`) when its output is what it decided, else None."""
    if isinstance(node.op, (ArgMax, BestChannel, Quantize, QuantizedConv2d, RankedConv2d)):
        return node.output
    if isinstance(node.op, Map) and isinstance(node.op.expr, Apply) and node.op.expr.fn in DECISIONS:
        last = count_nodes(node.op.expr) - 1
        return f"{node.output}#{last}" if last else node.output
    return None


def at_site(graph: Graph, node: Node, flat: Array) -> Array:
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
    producers = {node.output: node for node in graph.nodes}
    waiting = [(p.value, np.ravel(a).astype(np.float64)) for p, a in zip(graph.outputs, outputs, strict=True)]
    found: dict[str, Array] = {}
    while waiting:
        value, flat = waiting.pop()
        node = producers.get(value)
        if node is None or np.isnan(flat).all():
            continue
        site = decision_site(node)
        if site is not None:
            flat = at_site(graph, node, flat)
            known = found.setdefault(site, flat)
            found[site] = np.where(np.isnan(known), flat, known)
        else:
            waiting.extend(_sources(graph, node, flat))
    return found


def _sources(graph: Graph, node: Node, flat: Array) -> Iterator[tuple[str, Array]]:
    """What is known about the inputs of a node that only moves or renames its elements."""
    op, kinds = node.op, [graph.types[name] for name in node.inputs]
    if isinstance(op, Rearrange):
        source, index = np.full(kinds[0].size, np.nan), op.index.ravel()
        source[index[index >= 0]] = flat[index >= 0]
        yield node.inputs[0], source
    elif isinstance(op, Concat):
        ends = np.cumsum([kind.shape[op.axis] for kind in kinds])[:-1]
        parts = np.split(flat.reshape(graph.types[node.output].shape), ends, axis=op.axis)
        yield from ((name, part.ravel()) for name, part in zip(node.inputs, parts, strict=True))
    elif isinstance(op, LevelValues) and all(len(np.unique(row)) == len(row) for row in op.values):
        match = op.values[np.arange(flat.size) % len(op.values)] == flat[:, None]
        yield node.inputs[0], np.where(match.any(axis=1), match.argmax(axis=1), np.nan)
    elif isinstance(op, Map) and isinstance(op.expr, Arg) and kinds[op.expr.index].shape == op.shape:
        yield node.inputs[op.expr.index], flat
