"""Let a binary convolution pool its codes as it makes them.

`max_pool(conv(x))` with one reader of the convolution becomes one operation (`ops/pooled_conv2d.py`): the same codes,
the same pool, no unpooled map in memory. Applies to convolutions with thresholds, whose border classes are known, and
windows side by side. It runs before kernels are chosen; where a family is chosen that cannot
pool, the two are taken apart again (`passes/choose_kernels.py`).
"""

from __future__ import annotations

from dataclasses import replace

from bnn2c.ir import Graph, Node
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.pooled_conv2d import PooledConv2d
from bnn2c.passes.cleanup import drop_dead


def fuse_pools(graph: Graph) -> Graph:
    """Fuse every pair it can."""
    producers = {node.output: node for node in graph.nodes}
    readers = {name: len(nodes) for name, nodes in graph.consumers().items()}
    for port in graph.outputs:
        readers[port.value] += 1
    nodes = tuple(_fused(node, producers, readers) for node in graph.nodes)
    return drop_dead(replace(graph, nodes=nodes))


def _fused(node: Node, producers: dict[str, Node], readers: dict[str, int]) -> Node:
    source = producers.get(node.inputs[0]) if node.inputs else None
    if not isinstance(node.op, MaxPool) or source is None or readers[source.output] > 1:
        return node
    if not isinstance(source.op, BinaryConv2d) or len(source.inputs) > 1 or not PooledConv2d.fits(source.op, node.op):
        return node
    origin = tuple(dict.fromkeys(source.origin + node.origin))
    return Node(node.output, PooledConv2d(source.op, node.op), source.inputs, origin, source.why + node.why)
