"""Apply an elementwise operation to the sums of a binary convolution pixel by pixel.

`map(conv(x), y)` becomes one operation (`ops/mapped_conv2d.py`): the same sums, the same expression, one pixel of sums
in memory instead of a tensor. Applies to a convolution with integer sums, no thresholds and one reader that has its
shape. It runs after the kernels are chosen, which do not depend on it.
"""

from __future__ import annotations

from dataclasses import replace

from bnn2c.ir import Graph, Node, origins
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.fixed_map import FixedMap
from bnn2c.ops.integer_conv2d import IntegerConv2d
from bnn2c.ops.map import Map
from bnn2c.ops.mapped_conv2d import MappedConv2d
from bnn2c.passes.cleanup import drop_dead


def fuse_sums(graph: Graph) -> Graph:
    """Fuse every pair it can."""
    producers = {node.output: node for node in graph.nodes}
    readers = graph.reads()
    nodes = tuple(_fused(graph, node, producers, readers) for node in graph.nodes)
    return drop_dead(replace(graph, nodes=nodes))


def _fused(graph: Graph, node: Node, producers: dict[str, Node], readers: dict[str, int]) -> Node:
    if not isinstance(node.op, (Map, FixedMap)):
        return node
    for slot, name in enumerate(node.inputs):
        source = producers.get(name)
        if source is None or readers[name] > 1 or graph.types[name].shape != node.op.shape:
            continue
        conv = source.op
        if isinstance(conv, IntegerConv2d) or (isinstance(conv, BinaryConv2d) and conv.thresholds is None):
            others = node.inputs[:slot] + node.inputs[slot + 1 :]
            op = MappedConv2d(conv, node.op, slot)
            return Node(node.output, op, (*source.inputs, *others), origins((source, node)), source.why + node.why)
    return node
