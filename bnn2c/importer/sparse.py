"""Sparse constants, written out: everything behind the loader sees dense tensors only."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
import onnx
from onnx import numpy_helper

from bnn2c.errors import CompileError, reason
from bnn2c.importer.limits import array_of, subgraphs, too_large
from bnn2c.options import Options

__all__ = ["make_dense"]


def make_dense(model: onnx.ModelProto, options: Options) -> None:
    """Replace sparse initializers and the sparse values of Constant nodes by dense ones, in place.

    ONNX stores the elements that are not 0 with their positions: [NNZ] into the flattened tensor, or [NNZ, rank].

    Raises:
        CompileError: BNN003 when the positions do not fit the shape; BNN009 when the tensor is too large.
    """
    for graph in (*_graphs(model.graph), *model.functions):
        for node in graph.node:
            for item in node.attribute:
                if item.HasField("sparse_tensor"):
                    _replace_attribute(item, options)
        if isinstance(graph, onnx.GraphProto):
            graph.initializer.extend(_dense(one, options) for one in graph.sparse_initializer)
            del graph.sparse_initializer[:]
            _forget_types(graph)


def _forget_types(graph: onnx.GraphProto) -> None:
    """Drop stated types that were those of sparse tensors."""
    kept = [info for info in graph.value_info if info.type.WhichOneof("value") != "sparse_tensor_type"]
    del graph.value_info[:]
    graph.value_info.extend(kept)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and those nested in it."""
    yield graph
    for node in graph.node:
        for inner in subgraphs(node):
            yield from _graphs(inner)


def _replace_attribute(item: onnx.AttributeProto, options: Options) -> None:
    name = "value" if item.name == "sparse_value" else item.name
    item.CopyFrom(onnx.helper.make_attribute(name, _dense(item.sparse_tensor, options)))


def _dense(sparse: onnx.SparseTensorProto, options: Options) -> onnx.TensorProto:
    """The same tensor with its zeros; it has the name of the values."""
    name, shape = sparse.values.name, list(sparse.dims)
    if min(shape, default=0) < 0:
        raise CompileError.single("BNN003", f"tensor {name} has a negative dimension {shape}")
    if prod(shape) * 4 > options.max_tensor_bytes:
        raise too_large(f"tensor {name} {shape} exceeds {options.max_tensor_bytes} bytes", "max-tensor-bytes")
    values, indices = array_of(sparse.values), array_of(sparse.indices)
    found = np.zeros(prod(shape), values.dtype)
    try:
        flat = indices if indices.ndim < 2 else np.ravel_multi_index(tuple(indices.T), shape)
        if np.min(flat, initial=0) < 0 or flat.shape != values.shape:
            raise ValueError("it needs one position, not negative, per value")
        found[flat] = values
        return numpy_helper.from_array(found.reshape(shape), name)
    except (ValueError, LookupError, TypeError) as error:
        raise CompileError.single("BNN003", f"sparse tensor {name} {shape}: {reason(error)}", node=name) from error
