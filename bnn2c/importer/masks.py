"""Assignment of one number under a mask, `x[mask] = v`, as the Where that it is.

PyTorch's exporter lists the places with NonZero and writes to them with ScatterND, whose shapes depend on the input:

    places = Transpose(NonZero(mask))    x' = ScatterND(x, places, Reshape(Expand(v, …), [-1]))  =  Where(mask, v, x)

The updates have one axis, so that each of them is one element and the mask has the shape of x, as ONNX's rule for the
shapes of ScatterND says; v has one element, so that all of them are v. The nodes that nobody reads any more are not
imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx
from onnx import helper

from bnn2c.importer.call import attributes
from bnn2c.importer.limits import array_of

Graph = onnx.GraphProto
Node = onnx.NodeProto


def assign_where(model: onnx.ModelProto) -> None:
    """Replace every such ScatterND of the main graph in place."""
    if not any(node.op_type == "NonZero" for node in model.graph.node):
        return
    made = {name: node for node in model.graph.node for name in node.output}
    initial = {tensor.name: tensor for tensor in model.graph.initializer}
    sizes = _sizes(model.graph)

    def source(name: str, op: str) -> Node | None:
        """The node of that kind that makes a tensor, behind copies of it."""
        node = made.get(name)
        while node is not None and node.op_type == "Identity":
            node = made.get(node.input[0])
        return node if node is not None and node.op_type == op else None

    def vector(shape: str) -> bool:
        """Whether a shape is known to be [-1]."""
        constant = source(shape, "Constant")
        if constant is not None:
            found = attributes(constant)
            return list(found.get("value_ints", found.get("value", ()))) == [-1]
        return shape in initial and array_of(initial[shape]).tolist() == [-1]

    for node in model.graph.node:
        mask, value = _mask(node, source), _value(node, source, vector)
        if mask and value and sizes.get(value) == 1:
            inputs, name = [mask, value, node.input[0]], node.name
            node.CopyFrom(helper.make_node("Where", inputs, list(node.output), name))


def _mask(node: Node, source: Callable[[str, str], Node | None]) -> str:
    """The mask whose places a ScatterND writes to, or nothing."""
    if node.op_type != "ScatterND" or len(node.input) != 3 or attributes(node).get("reduction", "none") != "none":
        return ""
    turned = source(node.input[1], "Transpose")
    places = source(turned.input[0], "NonZero") if turned is not None else None
    return str(places.input[0]) if places is not None else ""


def _value(node: Node, source: Callable[[str, str], Node | None], vector: Callable[[str], bool]) -> str:
    """What is repeated for all updates, when they have one axis, or nothing."""
    flat = source(node.input[2], "Reshape") if len(node.input) == 3 else None
    repeated = source(flat.input[0], "Expand") if flat is not None and vector(flat.input[1]) else None
    return str(repeated.input[0]) if repeated is not None else ""


def _sizes(graph: Graph) -> dict[str, int]:
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
