"""Ternary weights as half the sum of two signs: integers lose nothing by it, and each half takes one bit per weight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bnn2c.expr import Arg, apply
from bnn2c.ir import Graph, Node
from bnn2c.ops.map import Map
from bnn2c.ops.sign_conv2d import SignConv2d
from bnn2c.ops.ternary_conv2d import TernaryConv2d


def in_signs(graph: Graph) -> Graph:
    """Every ternary convolution as two of signs and their sum: `w = (a + b) / 2`, a = -1 where w < 1, b where w < 0."""
    types = dict(graph.types)
    nodes = []
    for node in graph.nodes:
        for part in _parts(node, types[node.output].shape) if isinstance(node.op, TernaryConv2d) else (node,):
            types.setdefault(part.output, types[node.output])
            nodes.append(part)
    return replace(graph, nodes=tuple(nodes), types=types)


def _parts(node: Node, shape: tuple[int, int, int]) -> Iterator[Node]:
    """Both halves, and the sum in the place of the node."""
    op = node.op
    assert isinstance(op, TernaryConv2d)
    names = f"{node.output}_above", f"{node.output}_below"
    for name, bits in zip(names, (op.weights < 1, op.weights < 0), strict=True):
        half = SignConv2d(bits.astype(np.uint8), op.scale / np.float32(2), op.window, op.groups, op.pad_value)
        yield replace(node, output=name, op=half)
    yield replace(node, op=Map(apply("add", Arg(0), Arg(1)), shape), inputs=names)
