"""Move a constant pad into the convolution that reads it.

`conv(pad(x, v), pads=0) = conv(x, pads=p, pad_value=v)`: exact for any real v, because a convolution with pad value v
reads v outside its input. Applies when the convolution reads a copy (or a copy of a copy) whose rows and columns at the
edges hold nothing but v, and the convolution has no padding of its own (or its pad value is v too). What is left of the
copy, a transpose or a reshape of x, stays in front of the convolution.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bnn2c.ir import Graph, Node, TensorType
from bnn2c.ir.op import Array
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.rearrange import Rearrange
from bnn2c.passes.cleanup import drop_dead

Pads = tuple[int, int, int, int]


@dataclass(frozen=True)
class Copy:
    """`value.flat[k] = source.flat[index.flat[k]]`, or `fill` where the index is -1; made by the nodes `origin`."""

    source: str
    index: Array
    fill: float
    origin: tuple[str, ...]


def fold_padding(graph: Graph) -> Graph:
    """Rewrite every convolution that reads a spatial pad."""
    producers = {node.output: node for node in graph.nodes}
    types = dict(graph.types)
    nodes = [new for node in graph.nodes for new in _folded(types, node, producers)]
    return drop_dead(replace(graph, nodes=tuple(nodes), types=types))


def _folded(types: dict[str, TensorType], node: Node, producers: dict[str, Node]) -> list[Node]:
    copy = copy_of(node.inputs[0], producers) if isinstance(node.op, Conv2d) else None
    pads = border_of(copy.index) if copy is not None else None
    if copy is None or pads is None or not isinstance(node.op, Conv2d):
        return [node]
    window = node.op.window
    if any(window.pads) and node.op.pad_value != copy.fill:
        return [node]
    top, left, bottom, right = (a + b for a, b in zip(window.pads, pads, strict=True))
    op = replace(node.op, window=replace(window, pads=(top, left, bottom, right)), pad_value=copy.fill)
    inside = copy.index[pads[0] : copy.index.shape[0] - pads[2], pads[1] : copy.index.shape[1] - pads[3]]
    kind = types[copy.source]
    if inside.shape == kind.shape and np.array_equal(inside.ravel(), np.arange(kind.size)):
        return [replace(node, op=op, inputs=(copy.source,), origin=node.origin + copy.origin)]
    rest = Rearrange(np.ascontiguousarray(inside))
    name = f"{node.output}_unpadded"
    types[name] = rest.infer([kind])
    unpadded = Node(name, rest, (copy.source,), copy.origin)
    return [unpadded, replace(node, op=op, inputs=(name,), origin=node.origin + copy.origin)]


def copy_of(value: str, producers: dict[str, Node]) -> Copy | None:
    """The chain of copies that makes a value, as one copy; None when it is not a copy or fills differ."""
    found: Copy | None = None
    while (node := producers.get(value)) is not None and isinstance(node.op, Rearrange):
        index, fill = node.op.index, node.op.fill
        if found is None:
            found = Copy(node.inputs[0], index, fill, node.origin)
        elif (index < 0).any() and (found.index < 0).any() and fill != found.fill:
            return found
        else:
            joined = np.where(found.index < 0, -1, index.ravel()[np.maximum(found.index, 0)])
            fill = found.fill if (found.index < 0).any() else fill
            found = Copy(node.inputs[0], joined, fill, node.origin + found.origin)
        value = node.inputs[0]
    return found


def border_of(index: Array) -> Pads | None:
    """(top, left, bottom, right): rows and columns without any source around a part that has sources everywhere."""
    rows, cols = np.asarray((index >= 0).any(axis=(1, 2))), np.asarray((index >= 0).any(axis=(0, 2)))
    if not rows.any():
        return None
    top, left = int(rows.argmax()), int(cols.argmax())
    bottom, right = int(rows[::-1].argmax()), int(cols[::-1].argmax())
    inside = index[top : index.shape[0] - bottom, left : index.shape[1] - right]
    pads = (top, left, bottom, right)
    return pads if any(pads) and (inside >= 0).all() else None
