"""Quantise the sums of a first layer pixel by pixel.

`quantize(conv(x))` with one reader becomes one operation: the same sums, the same comparisons, but only one pixel of
sums in memory. Applies to integer, addition-only and real convolutions; binary ones have their own fused thresholds.
8-bit integers times signs with one threshold per output have a kernel for several pixels at a time.
"""

from __future__ import annotations

from dataclasses import replace

from bnn2c.ir import Graph, Node
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.integer_conv2d import IntegerConv2d
from bnn2c.ops.paired_conv2d import PairedConv2d
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.quantized_conv2d import QuantizedConv2d
from bnn2c.ops.sign_conv2d import SignConv2d
from bnn2c.passes.cleanup import drop_dead


def fuse_pixels(graph: Graph) -> Graph:
    """Fuse every pair it can."""
    producers = {node.output: node for node in graph.nodes}
    readers = {name: len(nodes) for name, nodes in graph.consumers().items()}
    for port in graph.outputs:
        readers[port.value] += 1
    nodes = tuple(_fused(node, producers, readers) for node in graph.nodes)
    return drop_dead(replace(graph, nodes=nodes))


def _fused(node: Node, producers: dict[str, Node], readers: dict[str, int]) -> Node:
    source = producers.get(node.inputs[0]) if node.inputs else None
    if not isinstance(node.op, Quantize) or source is None or readers[source.output] > 1:
        return node
    if not isinstance(source.op, (Conv2d, SignConv2d, IntegerConv2d)):
        return node
    paired = isinstance(source.op, IntegerConv2d) and PairedConv2d.fits(source.op, node.op)
    op = (PairedConv2d if paired else QuantizedConv2d)(source.op, node.op)
    origin = tuple(dict.fromkeys(source.origin + node.origin))
    return Node(node.output, op, source.inputs, origin, source.why + node.why)
