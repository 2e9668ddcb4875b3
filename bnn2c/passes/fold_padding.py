"""Move a constant pad into the convolution that reads it.

`conv(pad(x, v), pads=0) = conv(x, pads=p, pad_value=v)`: exact for any real v, because a convolution with pad value v
reads v outside its input. Applies when the copied tensor is `x` in the middle of a border of v, the convolution has
no padding of its own (or its pad value is v too), and nothing is cropped.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.ir import Graph, Node
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.rearrange import Rearrange
from bnn2c.passes.cleanup import drop_dead

Pads = tuple[int, int, int, int]


def fold_padding(graph: Graph) -> Graph:
    """Rewrite every convolution that reads a pure spatial pad."""
    producers = {node.output: node for node in graph.nodes}
    nodes = tuple(_folded(graph, node, producers) for node in graph.nodes)
    return drop_dead(replace(graph, nodes=nodes))


def _folded(graph: Graph, node: Node, producers: dict[str, Node]) -> Node:
    source = producers.get(node.inputs[0]) if node.inputs else None
    if not isinstance(node.op, Conv2d) or source is None or not isinstance(source.op, Rearrange):
        return node
    pads = border_of(source.op, graph.types[source.inputs[0]].shape)
    window = node.op.window
    if pads is None or (any(window.pads) and node.op.pad_value != source.op.fill):
        return node
    joined: Pads = tuple(a + b for a, b in zip(window.pads, pads, strict=True))  # type: ignore[assignment]
    op = replace(node.op, window=replace(window, pads=joined), pad_value=source.op.fill)
    return replace(node, op=op, inputs=source.inputs, origin=source.origin + node.origin)


def border_of(op: Rearrange, shape: tuple[int, int, int]) -> Pads | None:
    """(top, left, bottom, right) when the copy places its whole input inside a border, else None."""
    index = op.index
    if index.shape[2] != shape[2] or not (index < 0).any() or not (index == 0).any():
        return None
    top, left, channel = (int(i[0]) for i in np.nonzero(index == 0))
    bottom, right = index.shape[0] - top - shape[0], index.shape[1] - left - shape[1]
    if channel or min(bottom, right) < 0:
        return None
    whole = np.pad(
        np.arange(int(np.prod(shape))).reshape(shape), ((top, bottom), (left, right), (0, 0)), constant_values=-1
    )
    return (top, left, bottom, right) if np.array_equal(whole, index) else None
