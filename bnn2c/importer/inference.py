"""ONNX's shape inference, kept from what would end the process."""

from __future__ import annotations

import onnx

from bnn2c.importer.limits import subgraphs

__all__ = ["infer_shapes"]

_UNKNOWN = "bnn2c.unknown"


def infer_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model with the shapes that ONNX can tell.

    Slice counts as unknown: behind an operator whose result has a size of 0 or less its inference aborts the process,
    which no exception handler sees.

    Raises:
        onnx.shape_inference.InferenceError, RuntimeError, ValueError: the model makes no sense.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _hide_slices(copy.graph)
    return onnx.shape_inference.infer_shapes(copy)


def _hide_slices(graph: onnx.GraphProto) -> None:
    """Give every Slice another domain, those of nested graphs too."""
    for node in graph.node:
        if node.op_type == "Slice":
            node.domain = _UNKNOWN
        for inner in subgraphs(node):
            _hide_slices(inner)
