"""Shows what the bodies of Loop and Scan compute, so that decisions in them can be seen as those of the main graph."""

from __future__ import annotations

from collections.abc import Container

import onnx
from onnx import helper

from bnn2c.importer.interpreter import first_output

__all__ = ["show_bodies"]

_SHOWN = "/shown"
_SCAN = ("scan_output_axes", "scan_output_directions")


def show_bodies(model: onnx.ModelProto, wanted: Container[str]) -> onnx.ModelProto:
    """A copy in which tensors of the bodies of Loop and Scan are results of these nodes, joined over the steps.

    What branches of an If compute is left out.

    Args:
        model: what is copied.
        wanted: names of tensors as in a `Trace` of the importer; results get the same ones.
    """
    found = onnx.ModelProto()
    found.CopyFrom(model)
    _show(found.graph, "", wanted)
    return found


def _show(graph: onnx.GraphProto, path: str, wanted: Container[str]) -> None:
    """Extend the loops of a graph, the innermost first."""
    for node in graph.node:
        if node.op_type in ("Loop", "Scan") and node.domain in ("", "ai.onnx"):
            body = next(item.g for item in node.attribute if item.name == "body")
            inside = f"{first_output(node)}/"
            _show(body, path + inside, wanted)
            names = [name for inner in body.node for name in inner.output if path + inside + name in wanted]
            _extend(node, body, inside, names)


def _extend(node: onnx.NodeProto, body: onnx.GraphProto, inside: str, names: list[str]) -> None:
    """Add a copy of each tensor to the results of the body, and of the node."""
    for name in names:
        body.node.append(helper.make_node("Identity", [name], [name + _SHOWN]))
        body.output.append(onnx.ValueInfoProto(name=name + _SHOWN))
        node.output.append(inside + name)
    for item in node.attribute:
        if item.name in _SCAN:
            item.ints.extend([0] * len(names))
