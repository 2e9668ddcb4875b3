"""Read a part of a concatenation from where it came.

`rearrange(concat(x_0 … x_n))` that takes elements of a single x_i is `rearrange(x_i)`, and a rearrangement of a
rearrangement is one. Exact: only positions change. Rewritten where the result is a contiguous part of its source, which
needs no copy at all; then nothing keeps the states of a recurrent layer alive whose last state alone is read.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.ir import Graph, Node
from bnn2c.ops.concat import Concat
from bnn2c.ops.rearrange import Rearrange
from bnn2c.passes.cleanup import drop_dead


def narrow_copies(graph: Graph) -> Graph:
    """Rewrite from the inputs towards the outputs."""
    producers: dict[str, Node] = {}
    for node in graph.nodes:
        producers[node.output] = _narrowed(graph, node, producers)
    return drop_dead(replace(graph, nodes=tuple(producers.values())))


def _narrowed(graph: Graph, node: Node, producers: dict[str, Node]) -> Node:
    if not isinstance(node.op, Rearrange) or (node.op.index < 0).any():
        return node
    best, source, index = node, node.inputs[0], node.op.index
    while source in producers:
        found = _behind(graph, producers[source], index)
        if found is None:
            break
        source, index = found
        if _contiguous(index):
            best = replace(node, op=Rearrange(index), inputs=(source,))
    return best


def _contiguous(index: Array) -> bool:
    return bool(np.array_equal(index.ravel(), np.arange(index.size) + index.flat[0]))


def _behind(graph: Graph, producer: Node, index: Array) -> tuple[str, Array] | None:
    """The one value, and the positions in it, that elements `index` of the producer's output are copied from."""
    op = producer.op
    if isinstance(op, Rearrange):
        moved = op.index.ravel()[index]
        return None if (moved < 0).any() else (producer.inputs[0], moved)
    if not isinstance(op, Concat):
        return None
    shapes = [graph.types[name].shape for name in producer.inputs]
    owner = np.concatenate([np.full(s, i, np.int32) for i, s in enumerate(shapes)], axis=op.axis).ravel()[index]
    if owner.min() != owner.max():
        return None
    places = [np.arange(np.prod(s), dtype=np.int32).reshape(s) for s in shapes]
    place = np.concatenate(places, axis=op.axis).ravel()[index]
    return producer.inputs[int(owner.flat[0])], np.asarray(place, np.int32)
