"""Compute elementwise operations in the shape of the image, and reshape the result.

`map(reshape(x), y)` is `reshape(map(x, reshape'(y)))` where the reshape keeps the channels: only rows and columns are
joined, as in front of a mean over all pixels. Exact: positions do not change, and neither reshape moves a byte. The map
then has the shape of the convolution that it follows, and is fused with it. Constants that differ between pixels stay
where they are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.analysis.steps import same_for_all
from bnn2c.ir import Graph, Node, TensorType
from bnn2c.ops.map import Map
from bnn2c.ops.rearrange import Rearrange
from bnn2c.passes.cleanup import drop_dead

Shape = tuple[int, int, int]


def reshape_late(graph: Graph) -> Graph:
    """Rewrite from the inputs towards the outputs."""
    outputs = {port.value for port in graph.outputs}
    done: dict[str, Node] = {}
    types = dict(graph.types)
    for node in graph.nodes:
        image = None if node.output in outputs else _image(node, done, types)
        for new in [node] if image is None else _rewritten(node, image, done, types):
            done[new.output] = new
    return drop_dead(replace(graph, nodes=tuple(done.values()), types=types))


def _image(node: Node, done: dict[str, Node], types: dict[str, TensorType]) -> Shape | None:
    """The shape before a reshape that joins the rows of one of the map's operands; None when nothing is to be done."""
    if not isinstance(node.op, Map) or node.op.shape[0] != 1:
        return None
    if not same_for_all(node.op.expr, node.op.shape):
        return None
    for name in node.inputs:
        if types[name].shape == node.op.shape and (source := _reshaped(name, done, types)):
            shape = types[source].shape
            if shape[0] > 1 and shape[2] == node.op.shape[2]:
                return shape
    return None


def _reshaped(name: str, done: dict[str, Node], types: dict[str, TensorType]) -> str | None:
    """What a value is a reshape of, whole: the first elements of something larger are a part of it."""
    node = done.get(name)
    if node is None or not isinstance(node.op, Rearrange) or types[name].size != types[node.inputs[0]].size:
        return None
    index = node.op.index.ravel()
    return node.inputs[0] if np.array_equal(index, np.arange(index.size)) else None


def _rewritten(node: Node, image: Shape, done: dict[str, Node], types: dict[str, TensorType]) -> list[Node]:
    """Reshapes of the operands, the map, the reshape of its result."""
    assert isinstance(node.op, Map)
    found: list[Node] = []
    inputs = []
    for name in node.inputs:
        wanted = (*(image[:2] if types[name].shape[1] > 1 else (1, 1)), types[name].shape[2])
        source = _reshaped(name, done, types)
        if source is not None and types[source].shape == wanted:
            inputs.append(source)
        elif types[name].shape == wanted:
            inputs.append(name)
        else:
            found.append(_reshape(name, f"{node.output}<{name}", wanted, node, types))
            inputs.append(found[-1].output)
    whole = f"{node.output}_image"
    op = replace(node.op, shape=image)
    types[whole] = op.infer([types[name] for name in inputs])
    return [
        *found,
        replace(node, output=whole, op=op, inputs=tuple(inputs)),
        _reshape(whole, node.output, node.op.shape, node, types),
    ]


def _reshape(source: str, name: str, shape: Shape, node: Node, types: dict[str, TensorType]) -> Node:
    op = Rearrange(np.arange(types[source].size, dtype=np.int32).reshape(shape))
    types[name] = op.infer([types[source]])
    return Node(name, op, (source,), node.origin)
