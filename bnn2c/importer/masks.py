"""Assignment of one number under a mask, `x[mask] = v`, as the Where that it is.

PyTorch's exporter lists the places with NonZero and writes to them with ScatterND, whose shapes depend on the input:

    places = Transpose(NonZero(mask))    x' = ScatterND(x, places, Expand(v, …))    =    Where(mask, v, x)

v has one element, so that all updates are v. The mask must have as many elements as x: its places lie in x, so along no
axis is it longer, and then its shape is that of x but for last axes of size 1. A Reshape to the shape of x makes sure
of it, and fails otherwise. The nodes that nobody reads any more are not imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx

from bnn2c.importer.call import attributes
from bnn2c.importer.rewriter import Rewriter

Node = onnx.NodeProto
Source = Callable[[str, str], Node | None]


def assign_where(model: onnx.ModelProto) -> None:
    """Replace every such ScatterND of the main graph of a checked model in place."""
    if not any(node.op_type == "NonZero" for node in model.graph.node):
        return
    made = {name: node for node in model.graph.node for name in node.output}
    sizes = _sizes(model.graph)

    def source(name: str, op: str) -> Node | None:
        """The node of that kind that makes a tensor, behind copies of it."""
        node = made.get(name)
        while node is not None and node.op_type == "Identity":
            node = made.get(node.input[0])
        return node if node is not None and node.op_type == op else None

    nodes: list[Node] = []
    for node in model.graph.node:
        mask, value = _mask(node, source), _value(node, source)
        nodes.extend(_where(node, mask, value) if mask and sizes.get(value) == 1 else [node])
    copies = [Node.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def _where(node: Node, mask: str, value: str) -> list[Node]:
    """The nodes in place of a ScatterND."""
    r, data = Rewriter(node, {}, 13), node.input[0]
    whole = r.add("Reshape", mask, r.add("Shape", data))
    one = r.add("Reshape", value, r.const([1], np.int64))
    r.add("Where", whole, one, data, output=node.output[0])
    return r.nodes


def _mask(node: Node, source: Source) -> str:
    """The mask whose places a ScatterND writes to, or nothing."""
    if node.op_type != "ScatterND" or node.domain or attributes(node).get("reduction", "none") != "none":
        return ""
    turned = source(node.input[1], "Transpose")
    if turned is None or attributes(turned).get("perm", [1, 0]) != [1, 0]:
        return ""
    places = source(turned.input[0], "NonZero")
    return str(places.input[0]) if places is not None else ""


def _value(node: Node, source: Source) -> str:
    """What is repeated for all updates, or nothing."""
    if node.op_type != "ScatterND":
        return ""
    flat = source(node.input[2], "Reshape")
    repeated = source(flat.input[0] if flat is not None else node.input[2], "Expand")
    return str(repeated.input[0]) if repeated is not None else ""


def _sizes(graph: onnx.GraphProto) -> dict[str, int]:
    """Elements of initializers, constants and tensors of known shape, and of copies of them."""
    kinds = {v.name: v.type.tensor_type.shape.dim for v in graph.value_info if v.type.tensor_type.HasField("shape")}
    known = {name: math.prod(d.dim_value for d in dims) for name, dims in kinds.items()}
    known |= {tensor.name: math.prod(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in known:
            known[node.output[0]] = known[node.input[0]]
        if node.op_type == "Constant" and "value" in (found := attributes(node)):
            known[node.output[0]] = found["value"].size
    return known
