"""Bring a graph into a form whose frames come one by one: equal operations, in another order or apart.

`thresholds_apart`: thresholds that differ between border classes leave the convolutions (the fixed-point stage joined
them). `code = #{l : acc >= thresholds[class, o, l]}` is a `Quantize` of the accumulators with the thresholds as breaks:
the same comparisons. The class of a frame is known only when the frame comes.

`values_first`: `map(turn(codes))` becomes `turn(map'(codes))`, where `turn` makes [1, C, T] of T pixels of C codes, and
`map'` has the constants of `map` at the places where the elements come from. Codes [1, C, T] are packed along time, so
that a word of them would belong to many frames; numbers are not packed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.expr.tree import remap_consts
from bnn2c.ir import Graph, Node
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.map import Map
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.rearrange import Rearrange
from bnn2c.passes.cleanup import drop_dead


def thresholds_apart(graph: Graph) -> Graph:
    """The graph with such convolutions as two operations."""
    return _rewritten(graph, _apart)


def _rewritten(graph: Graph, change: Callable[[Graph, Node], list[Node]]) -> Graph:
    """The graph with what stands for each node, in order, and its types."""
    types = dict(graph.types)
    nodes = tuple(new for node in graph.nodes for new in change(graph, node))
    for node in nodes:
        types[node.output] = node.op.infer([types[name] for name in node.inputs])
    return replace(graph, nodes=nodes, types=types)


def _apart(graph: Graph, node: Node) -> list[Node]:
    conv = node.op
    if not isinstance(conv, BinaryConv2d) or conv.thresholds is None or conv.thresholds.shape[:2] == (1, 1):
        return [node]
    assert conv.row_class is not None and conv.col_class is not None
    codes = np.arange(conv.thresholds.shape[3] + 1, dtype=np.uint8)
    codes = np.broadcast_to(codes, (*conv.thresholds.shape[:3], len(codes)))
    planes = graph.types[node.output].planes
    quantize = Quantize(conv.thresholds.astype(np.float64), codes, conv.row_class, conv.col_class, planes)
    sums = replace(conv, thresholds=None, row_class=None, col_class=None)
    name = f"{node.output}/sums"
    return [replace(node, output=name, op=sums), replace(node, op=quantize, inputs=(name,))]


def values_first(graph: Graph) -> Graph:
    """The graph without codes packed along time of which numbers are made one by one."""
    made = {node.output: node for node in graph.nodes}
    return drop_dead(_rewritten(graph, lambda whole, node: _values_first(whole, node, made)))


def _values_first(graph: Graph, node: Node, made: Mapping[str, Node]) -> list[Node]:
    values = node.op
    turn = made.get(node.inputs[0]) if isinstance(values, Map) and len(node.inputs) == 1 else None
    if not isinstance(values, Map) or turn is None or not isinstance(turn.op, Rearrange):
        return [node]
    kind, turned = graph.types[turn.inputs[0]], graph.types[turn.output]
    height, width, _ = kind.shape
    if kind.storage != "bits" or turned.shape != values.shape or 1 not in (height, width):
        return [node]
    if not turn.op.transposes(kind.shape):
        return [node]

    def turned_back(constant: Array) -> Array:
        rows = constant.reshape(-1, constant.shape[2]).T
        return np.expand_dims(rows, 0 if height == 1 else 1)

    name = f"{node.output}/codes"
    early = replace(values, expr=remap_consts(values.expr, turned_back), shape=kind.shape)
    return [replace(node, output=name, op=early, inputs=turn.inputs), replace(node, op=turn.op, inputs=(name,))]
