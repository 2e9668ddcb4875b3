"""Put the frames of variants one after the other in memory.

`Onset` runs on one frame at a time, so a frame has to be one piece of memory. Where other axes lie outside of time, the
frames are copied in front, and the results back: `out = back(onset(front(x)))`, with `front` moving axis `t` of
[H, W, C] to the first place, as [N * H, W, C] with one position along `t`, and `back` its inverse.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.ir import Graph, Node
from bnn2c.ops.onset import Onset
from bnn2c.ops.rearrange import Rearrange


def frames_in_rows(graph: Graph) -> Graph:
    """Rearrange around every such operation of several frames."""
    types = dict(graph.types)
    nodes = [new for node in graph.nodes for new in _rearranged(graph, node)]
    for node in nodes:
        types[node.output] = node.op.infer([types[name] for name in node.inputs])
    return replace(graph, nodes=tuple(nodes), types=types)


def _rearranged(graph: Graph, node: Node) -> list[Node]:
    op, shape = node.op, graph.types[node.output].shape
    if not isinstance(op, Onset) or graph.types[node.inputs[-1]].size == 1 or prod(shape[: op.axis]) == 1:
        return [node]
    fronts = [
        Node(f"{node.output}/in_rows_{k}", Rearrange(_front(graph.types[name].shape, op.axis)), (name,), node.origin)
        for k, name in enumerate(node.inputs[:-1])
    ]
    inputs = (*(front.output for front in fronts), node.inputs[-1])
    rows = replace(node, output=f"{node.output}/in_rows", op=replace(op, axis=0), inputs=inputs)
    back = Node(node.output, Rearrange(_back(shape, op.axis)), (rows.output,))
    return [*fronts, rows, replace(back, origin=node.origin)]


def _front(shape: tuple[int, ...], axis: int) -> Array:
    """Positions in a tensor of this shape, frame by frame, as rows."""
    sizes = [1 if k == axis else n for k, n in enumerate(shape)]
    index = np.moveaxis(np.arange(prod(shape), dtype=np.int32).reshape(shape), axis, 0)
    return np.ascontiguousarray(index.reshape(shape[axis] * sizes[0], sizes[1], sizes[2]))


def _back(shape: tuple[int, ...], axis: int) -> Array:
    """Where each element of a tensor of this shape lies in the rows."""
    return np.argsort(_front(shape, axis).ravel()).reshape(shape).astype(np.int32)
