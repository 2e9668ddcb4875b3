"""Compute before a constant pad instead of behind it, so that the pad stands in front of the layer that reads it.

`f(pad(x, v)) = pad(f(x), f(v))`: exact for an elementwise f of one tensor whose constants do not vary along the padded
axes and that has one value f(v) for all padded elements. Causal networks pad real frames and binarise afterwards; the
pad of signs that this makes of it is one that a convolution can have (`fold_padding`) and a stream can begin with.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.expr import Arg, Const, Expr
from bnn2c.expr.tree import fold
from bnn2c.ir import Graph, Node, TensorType
from bnn2c.ir.op import Array
from bnn2c.ops.map import Map
from bnn2c.ops.rearrange import Rearrange
from bnn2c.passes.cleanup import drop_dead
from bnn2c.passes.fold_padding import Copy, copy_of

Box = tuple[slice, slice, slice]


def pad_late(graph: Graph) -> Graph:
    """Exchange every pad with the elementwise functions that read it."""
    producers: dict[str, Node] = {}
    types = dict(graph.types)
    nodes: list[Node] = []
    for node in graph.nodes:
        for new in _exchanged(types, node, producers):
            producers[new.output] = new
            nodes.append(new)
    return drop_dead(replace(graph, nodes=tuple(nodes), types=types))


def _exchanged(types: dict[str, TensorType], node: Node, producers: dict[str, Node]) -> list[Node]:
    copy = copy_of(node.inputs[0], producers) if isinstance(node.op, Map) and len(node.inputs) == 1 else None
    if copy is None or not isinstance(node.op, Map) or copy.index.shape != node.op.shape:
        return [node]
    box = inside_of(copy.index)
    if box is None or types[node.inputs[0]].storage != "f32" or node.op.storage != "f32":
        return [node]
    value = _outside(node.op, copy, box)
    return [node] if value is None else _rebuilt(types, node, node.op, copy, box, value)


def inside_of(index: Array) -> Box | None:
    """The box of all elements with a source; None when it is everything, nothing, or has holes."""
    known = index >= 0
    if known.all() or not known.any():
        return None
    ends = [np.nonzero(known.any(axis=tuple(a for a in range(3) if a != axis)))[0][[0, -1]] for axis in range(3)]
    box = tuple(slice(int(first), int(last) + 1) for first, last in ends)
    return (box[0], box[1], box[2]) if known[box].all() else None


def _outside(op: Map, copy: Copy, box: Box) -> float | None:
    """The one value of all elements outside of the box; None where they differ or constants vary along the pad."""
    sizes = [part.stop - part.start for part in box]
    padded = [axis for axis in range(3) if sizes[axis] != op.shape[axis]]
    if any(shape[axis] != 1 for shape in _constant_shapes(op.expr) for axis in padded):
        return None
    value = op.reference(np.full(op.shape, copy.fill, np.float32))
    beyond = np.ones(op.shape, bool)
    beyond[box] = False
    first = value[beyond].flat[0]
    return float(first) if (value[beyond] == first).all() else None


def _constant_shapes(expr: Expr) -> list[tuple[int, ...]]:
    """Shapes [H or 1, W or 1, C or 1] of all constants."""
    found: list[tuple[int, ...]] = []

    def leaf(part: Arg | Const) -> None:
        if isinstance(part, Const):
            found.append(part.value.shape)

    fold(expr, leaf, lambda *_: None)
    return found


def _rebuilt(types: dict[str, TensorType], node: Node, op: Map, copy: Copy, box: Box, value: float) -> list[Node]:
    """What is left of the copy, the function of it, and the pad."""
    inside = np.ascontiguousarray(copy.index[box])
    source, made = copy.source, []
    if inside.shape != types[source].shape or not np.array_equal(inside.ravel(), np.arange(inside.size)):
        source = f"{node.output}/inside"
        types[source] = Rearrange(inside).infer([types[copy.source]])
        made.append(Node(source, Rearrange(inside), (copy.source,), copy.origin))
    within = replace(op, shape=(inside.shape[0], inside.shape[1], inside.shape[2]))
    name = f"{node.output}/unpadded"
    types[name] = within.infer([types[source]])
    places = np.full(op.shape, -1, np.int32)
    places[box] = np.arange(inside.size, dtype=np.int32).reshape(inside.shape)
    pad = Node(node.output, Rearrange(places, value), (name,), copy.origin)
    return [*made, Node(name, within, (source,), node.origin, node.why), pad]
