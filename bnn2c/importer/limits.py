"""Limits on what a file may ask for, so that a small hostile file cannot exhaust memory or time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from onnx import numpy_helper

from bnn2c.errors import CompileError, reason
from bnn2c.importer.tensors import Array
from bnn2c.options import Options

INDEX_BYTES = 16
MAX_RANK = 32


class Limits:
    """The limits of one compilation, and how much of them is used.

    Attributes:
        elements: of one tensor; the importer needs up to 16 bytes for each.
        budget: elements that all tensors of the graph together may still have.
        nodes: nodes that may still be executed or emitted; unrolled loops and recurrent layers count every step.
    """

    def __init__(self, options: Options) -> None:
        self.elements = max(1, options.max_tensor_bytes // INDEX_BYTES)
        self.budget = 8 * self.elements
        self.nodes = options.max_nodes
        self.exhausted = False

    def room(self, shape: Sequence[int], what: str) -> None:
        """Account for a tensor.

        Raises:
            CompileError: BNN009 when it is too large, or all tensors together are; BNN006 when it has too many axes.
            ValueError: when a size is negative.
        """
        if len(shape) > MAX_RANK:
            raise CompileError.single("BNN006", f"{what} has {len(shape)} axes; {MAX_RANK} are supported")
        if min(shape, default=0) < 0:
            raise ValueError(f"{what} has a negative size: {list(shape)}")
        size = prod(int(n) for n in shape)
        self.budget -= min(size, self.elements)
        if size > self.elements:
            raise too_large(f"{what} {list(shape)} has more than {self.elements} elements", "max-tensor-bytes")
        if self.budget < 0:
            self.exhausted = True
            raise too_large(f"all tensors have more than {8 * self.elements} elements", "max-tensor-bytes")

    def step(self) -> None:
        """Account for a node.

        Raises:
            CompileError: BNN009 when there were too many.
        """
        self.nodes -= 1
        if self.nodes < 0:
            self.exhausted = True
            raise too_large("the graph has too many nodes once loops are unrolled", "max-nodes")


def too_large(message: str, option: str) -> CompileError:
    """The diagnostic of a limit."""
    return CompileError.single("BNN009", message, hint=f"if it is meant to be so, raise --{option}")


@contextmanager
def exhaustion_refused() -> Iterator[None]:
    """Running out of memory or of stack is a diagnostic, whatever the limits are.

    Raises:
        CompileError: BNN009.
    """
    try:
        yield
    except MemoryError:
        raise CompileError.single("BNN009", "this machine has too little memory for the model") from None
    except RecursionError:
        raise CompileError.single("BNN009", "the model is nested too deeply") from None


def check_limits(model: onnx.ModelProto, options: Options) -> None:
    """Refuse a graph that is too large, before anything is computed from it.

    Raises:
        CompileError: BNN009 for too many nodes or bytes; BNN003 for shapes that make no sense or recursive functions.
    """
    functions = {(f.domain, f.name): f for f in model.functions}
    count = _expanded(model.graph.node, functions, {}, ())
    if count > options.max_nodes:
        raise too_large(f"{count} nodes; the limit is {options.max_nodes}", "max-nodes")
    for tensor in all_tensors(model):
        if min(tensor.dims, default=0) < 0:
            raise CompileError.single("BNN003", f"tensor {tensor.name} has a negative dimension {list(tensor.dims)}")
        if prod(tensor.dims) * 4 > options.max_tensor_bytes:
            message = f"tensor {tensor.name} {list(tensor.dims)} exceeds {options.max_tensor_bytes} bytes"
            raise too_large(message, "max-tensor-bytes")


def check_text(message: Message) -> None:
    """Refuse names that are not UTF-8, which the parser lets through.

    Raises:
        CompileError: BNN002.
    """
    try:
        for field, value in message.ListFields():
            for item in value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else (value,):
                if isinstance(item, Message) and not isinstance(item, onnx.TensorProto):
                    check_text(item)
                elif field.type == FieldDescriptor.TYPE_STRING and not isinstance(item, str):
                    raise ValueError(f"{field.name} is not UTF-8")
    except ValueError as error:
        raise CompileError.single("BNN002", f"a name in the file is not text: {error}") from error


Key = tuple[str, str]


def _expanded(
    nodes: Sequence[onnx.NodeProto],
    functions: dict[Key, onnx.FunctionProto],
    sizes: dict[Key, int],
    path: tuple[Key, ...],
) -> int:
    """Number of nodes once all functions are inlined."""
    total = 0
    for node in nodes:
        key = (node.domain, node.op_type)
        if key in path:
            raise CompileError.single("BNN003", f"function {node.domain}::{node.op_type} calls itself")
        if key in functions and key not in sizes:
            sizes[key] = _expanded(functions[key].node, functions, sizes, (*path, key))
        inner = sum(_expanded(graph.node, functions, sizes, path) for graph in subgraphs(node))
        total += sizes.get(key, 1) + inner
    return total


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Graphs that are attributes of a node."""
    for item in node.attribute:
        if item.HasField("g"):
            yield item.g
        yield from item.graphs


def all_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All constant tensors: initializers and attributes, those of subgraphs and functions too."""
    for graph in (model.graph, *model.functions):
        yield from _tensors(graph)


def _tensors(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.TensorProto]:
    if isinstance(graph, onnx.GraphProto):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for item in node.attribute:
            if item.HasField("t"):
                yield item.t
            if item.HasField("sparse_tensor"):
                yield from (item.sparse_tensor.values, item.sparse_tensor.indices)
            yield from item.tensors
        for inner in subgraphs(node):
            yield from _tensors(inner)


def array_of(tensor: onnx.TensorProto) -> Array:
    """The values of a constant tensor.

    Raises:
        CompileError: BNN003 when its data do not fit its shape and type.
    """
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        message = f"tensor {tensor.name} {list(tensor.dims)} holds no such data: {reason(error)}"
        raise CompileError.single("BNN003", message, node=tensor.name) from error


def as_integer(value: Any) -> int:  # noqa: ANN401 - whatever an attribute or operand holds
    """One number, refused when it is none.

    Raises:
        ValueError: for NaN, infinity, text or several numbers.
    """
    number = np.asarray(value).reshape(()).item()
    if isinstance(number, float) and not number.is_integer():
        raise ValueError(f"{number} is not an integer")
    return int(number)
