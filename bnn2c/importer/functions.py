"""Operators that ONNX itself defines by a function of simpler operators: the function's nodes are imported instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx

from bnn2c.importer.call import Call
from bnn2c.importer.tensors import Tensor, Value

EXPANDED = ("Attention", "RotaryEmbedding")


def function_of(call: Call) -> onnx.FunctionProto:
    """The body of an operator in `EXPANDED`, for the operands, attributes and opset of this call.

    Raises:
        CompileError: the opset has no such operator; Attention on bfloat16, whose function rounds every result; reals
            are float32 here.
        ValueError: no body for these operands.
    """
    if call.op == "Attention" and any(x is not None and x.dtype.name == "bfloat16" for x in call.operands):
        raise call.refuse("BNN006", "Attention that rounds every result to bfloat16 is not supported")
    try:
        schema: Any = onnx.defs.get_schema(call.op, call.opset, "")
    except onnx.defs.SchemaError as error:
        raise call.refuse("BNN003", f"opset {call.opset} has no operator {call.op}") from error
    body = onnx.FunctionProto()
    if schema.has_function:
        body.CopyFrom(schema.function_body)
    elif schema.has_context_dependent_function:
        kinds = [_type(tensor) for tensor in call.operands]
        body.ParseFromString(schema.get_context_dependent_function(call.proto.SerializeToString(), kinds))
    if not body.node:
        raise ValueError("ONNX gives no function body for these operands")
    for number, node in enumerate(body.node):
        node.name = f"{call.name}/{node.op_type}_{number}"
        _resolve(node, call, {name: found.default_value for name, found in schema.attributes.items()})
    return body


def _type(tensor: Tensor | None) -> bytes:
    if tensor is None:
        return bytes(onnx.TypeProto().SerializeToString())
    kind = onnx.helper.np_dtype_to_tensor_dtype(tensor.dtype)
    return bytes(onnx.helper.make_tensor_type_proto(kind, tensor.shape).SerializeToString())


def _resolve(node: onnx.NodeProto, call: Call, defaults: dict[str, onnx.AttributeProto]) -> None:
    """Replace references to the operator's attributes by their values."""
    given = defaults | {attribute.name: attribute for attribute in call.proto.attribute}
    kept: list[onnx.AttributeProto] = []
    for attribute in node.attribute:
        source = attribute.ref_attr_name
        value = given[source] if source else attribute
        if value.type:
            kept.append(onnx.AttributeProto())
            kept[-1].CopyFrom(value)
            kept[-1].name = attribute.name
    del node.attribute[:]
    node.attribute.extend(kept)


def operands_of(body: onnx.FunctionProto, inputs: Sequence[Tensor | None]) -> dict[str, Value]:
    """The operands that are there, by the function's names."""
    return {name: tensor for name, tensor in zip(body.input, inputs, strict=False) if tensor is not None}
