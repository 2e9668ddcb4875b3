"""Take thresholds that differ between border classes out of convolutions again (the fixed-point stage joined them).

`code = #{l : acc >= thresholds[class, o, l]}` is a `Quantize` of the accumulators with the thresholds as breaks: the
same comparisons. A stream needs them apart, because the class of a frame is known only when the frame comes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.ir import Graph, Node
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.quantize import Quantize


def thresholds_apart(graph: Graph) -> Graph:
    """The graph with such convolutions as two operations."""
    types = dict(graph.types)
    nodes = tuple(new for node in graph.nodes for new in _apart(graph, node))
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
