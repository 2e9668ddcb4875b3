"""Compare the outputs of a layer as they are made.

`arg_max(conv(x))` and `arg_max(map(conv(x)))`, where nothing else reads the sums or the map, become one operation: the
same sums, the same comparison (equal values included), but memory does not grow with the number of channels, which may
be the words of a language. Sums of one binary plane are compared where they are counted (`ops/best_channel.py`), scaled
ones and sums of signed real numbers in blocks of channels (`ops/ranked_conv2d.py`), where there are enough of them. It
runs after the kernels are chosen, which do not depend on it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.expr import Arg, apply, const, substitute
from bnn2c.ir import Graph, Node, Op, TensorType, origins
from bnn2c.kernels.best_rows import runs
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.best_channel import BestChannel
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.fixed_map import FixedMap
from bnn2c.ops.map import Map
from bnn2c.ops.ranked_conv2d import RankedConv2d
from bnn2c.ops.sign_conv2d import SignConv2d
from bnn2c.passes.cleanup import drop_dead

_CONVOLUTIONS = (BinaryConv2d, SignConv2d)


def fuse_arg_max(graph: Graph) -> Graph:
    """Fuse all it can."""
    producers = {node.output: node for node in graph.nodes}
    reads = graph.reads()

    def only(name: str) -> Node | None:
        return producers.get(name) if reads[name] == 1 else None

    def fused(node: Node) -> Node:
        source = only(node.inputs[0]) if isinstance(node.op, ArgMax) else None
        between = source if source is not None and _follows(source.op, graph, source) else None
        conv = source if between is None else only(between.inputs[0])
        if conv is None or not isinstance(conv.op, _CONVOLUTIONS):
            return node
        op = _joined(conv, None if between is None else between.op, node.op, graph)
        nodes = [one for one in (conv, between, node) if one is not None]
        why = tuple(text for one in nodes for text in one.why)
        return node if op is None else Node(node.output, op, conv.inputs, origins(nodes), why)

    return drop_dead(replace(graph, nodes=tuple(map(fused, graph.nodes))))


def _follows(op: Op, graph: Graph, node: Node) -> bool:
    """An elementwise operation of one tensor as large as its result."""
    return isinstance(op, (Map, FixedMap)) and len(node.inputs) == 1 and graph.types[node.inputs[0]].shape == op.shape


def _joined(conv: Node, between: Op | None, pick: Op, graph: Graph) -> Op | None:
    kind = graph.types[conv.inputs[0]]
    assert isinstance(conv.op, _CONVOLUTIONS) and isinstance(pick, ArgMax)
    if between is None and isinstance(conv.op, BinaryConv2d) and runs(conv.op, kind):
        return BestChannel(conv.op, pick)
    assert between is None or isinstance(between, (Map, FixedMap))
    ranked = RankedConv2d(conv.op, between, pick)
    if isinstance(conv.op, SignConv2d) and not isinstance(between, FixedMap):
        ranked = _scaled_late(conv.op, between, pick, ranked.conv.infer([kind]))
    return ranked if ranked.fits() else None


def _scaled_late(conv: SignConv2d, between: Map | None, pick: ArgMax, sums: TensorType) -> RankedConv2d:
    """The scales are applied when a sum is compared, not in a loop of their own."""
    scaled = apply("mul", Arg(0), const(conv.scale.astype(np.float32).reshape(1, 1, -1)))
    expr = scaled if between is None else substitute(between.expr, [scaled])
    storage = "f32" if between is None else between.storage
    return RankedConv2d(replace(conv, scale=np.ones_like(conv.scale)), Map(expr, sums.shape, storage), pick)
