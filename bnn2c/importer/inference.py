"""ONNX's shape inference, kept from what would end the process."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from bnn2c.importer.limits import subgraphs
from bnn2c.importer.tensors import Array, Tensor

__all__ = ["broken_rule", "ends_process", "infer_node", "infer_shapes"]

_UNKNOWN = "bnn2c.unknown"
_MOST_DIMS = 64
_KNOWN_BYTES = 4096
_SAFE = {"LayerNormalization": ("axis", -_MOST_DIMS, _MOST_DIMS), "GatherND": ("batch_dims", 0, _MOST_DIMS)}
_RULE = re.compile(r"(?:\): |\] )(?!Inference error|\(|\[)([^\n]+)")


def infer_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model with the shapes that ONNX can tell.

    Nodes whose inference may end the process count as unknown (`ends_process`).

    Raises:
        onnx.shape_inference.InferenceError, RuntimeError, ValueError: the model makes no sense.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _hide(copy.graph)
    return onnx.shape_inference.infer_shapes(copy)


def ends_process(node: onnx.NodeProto) -> bool:
    """Whether ONNX's inference of the node may crash, which no exception handler sees.

    Found by giving every integer of every operator values from -2^63 to 2^63 - 1 (onnx 1.23): Slice behind an operator
    whose result has a size of 0 or less, and attributes that it does not check before it reads at that place.
    """
    name, low, high = _SAFE.get(node.op_type, ("", 0, 0))
    unsafe = any(a.name == name and not low <= a.i <= high for a in node.attribute)
    return unsafe or node.op_type == "Slice"


def _hide(graph: onnx.GraphProto) -> None:
    """Give every node that may end the process another domain, those of nested graphs too."""
    for node in graph.node:
        if ends_process(node):
            node.domain = _UNKNOWN
        for inner in subgraphs(node):
            _hide(inner)


def broken_rule(proto: onnx.NodeProto, operands: Mapping[str, Tensor], opset: int) -> str:
    """What ONNX's own rules say against a node, in their words; empty when they allow it.

    Args:
        proto: a node of the standard operators.
        operands: its operands by name.
        opset: version of the operators.
    """
    if ends_process(proto) or any(subgraphs(proto)):  # the bodies have nodes of their own
        return ""
    try:
        infer_node(proto, operands, opset, strict=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError, LookupError, TypeError) as error:
        found = _RULE.search(str(error))
        return found[1].removesuffix(f" in node {proto.op_type} ({proto.name}).").strip().rstrip(".") if found else ""
    return ""


def infer_node(
    proto: onnx.NodeProto, operands: Mapping[str, Tensor], opset: int, strict: bool = False
) -> onnx.GraphProto:
    """A graph of one node, with the shapes of its results as far as ONNX can tell; small constants are known to it.

    Raises:
        onnx.shape_inference.InferenceError, RuntimeError, ValueError: the operands do not fit (`strict`: any rule).
    """
    kinds = {name: helper.np_dtype_to_tensor_dtype(np.dtype(x.dtype)) for name, x in operands.items()}
    inputs = [helper.make_tensor_value_info(name, kinds[name], x.shape) for name, x in operands.items()]
    arrays: dict[str, Array] = {name: x for name, x in operands.items() if isinstance(x, np.ndarray)}
    known = [numpy_helper.from_array(x, name) for name, x in arrays.items() if x.size <= _KNOWN_BYTES]
    outputs = [onnx.ValueInfoProto(name=name) for name in proto.output if name]
    graph = helper.make_graph([proto], "node", inputs, outputs, known)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return onnx.shape_inference.infer_shapes(model, check_type=strict, strict_mode=strict, data_prop=True).graph
