"""Graph inputs and outputs: batch 1, element types of the C interface, declared uint8 inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from bnn2c.analysis.intervals import ANY, Interval
from bnn2c.errors import CompileError, plural
from bnn2c.expr import Apply, Arg
from bnn2c.importer.context import Context
from bnn2c.importer.tensors import Parts, Tensor, Value, View, shape3
from bnn2c.ir.graph import Port
from bnn2c.ir.types import TensorType
from bnn2c.ops.map import Map
from bnn2c.ops.rearrange import Rearrange
from bnn2c.options import Options

STORAGE = {"float32": "f32", "uint8": "u8", "int8": "i8", "int32": "i32", "bool": "u8"}


def c_dtype(kind: npt.DTypeLike, name: str = "") -> str:
    """Element type at the C interface of an ONNX element type; `name` is the tensor's, for the diagnostic.

    Raises:
        CompileError: BNN006 for text, complex numbers and types of less than 8 bits.
    """
    dtype = np.dtype(kind)
    if dtype.name in ("float16", "float32", "float64", "bfloat16"):
        return "float32"
    if dtype.name in ("uint8", "int8", "bool"):
        return dtype.name
    if dtype.name not in ("int16", "uint16", "int32", "uint32", "int64", "uint64"):
        kind = "text" if dtype.kind in "OSU" else dtype.name
        raise CompileError.single("BNN006", f"tensors of {kind} are not supported", node=name)
    return "int32"


def declare_input(ctx: Context, info: onnx.ValueInfoProto, options: Options, count: int) -> Tensor:
    """Create the physical value of a graph input; returns its logical view in the ONNX type."""
    kind = info.type.tensor_type
    if not info.type.HasField("tensor_type") or kind.elem_type not in onnx.helper.get_all_tensor_dtypes():
        raise CompileError.single("BNN006", f"input {info.name} is not a tensor", node=info.name)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    shape = _static_shape(info)
    ctx.limits.room(shape, f"input {info.name}")
    scaled = options.input_scale is not None
    if scaled and (c_dtype(dtype, info.name) != "float32" or count > 1):
        raise CompileError.single(
            "BNN018", f"--input-scale needs one float input; {info.name} is {dtype} of {plural(count, 'input')}"
        )
    outside = "uint8" if scaled else c_dtype(dtype, info.name)
    physical = shape3(shape)
    value = ctx.builder.fresh(info.name)
    port = Port(info.name, value, shape, outside, unsigned=dtype.kind == "u")
    ctx.builder.add_input(port, TensorType(physical, STORAGE[outside]))
    ctx.hint, ctx.origin = info.name, ""
    ctx.intervals[value] = _interval(dtype, outside)
    ctx.held.add(value)
    if scaled:
        expr = Apply("dequant", (Arg(0),), (float(options.input_scale or 0.0), options.input_offset))
        value = ctx.emit(Map(expr, physical), [value])
    return ctx.view(value, shape, dtype)


def _interval(dtype: np.dtype[Any], outside: str) -> Interval:
    """Numbers that the firmware can give: those of both types."""
    if outside in ("float32", "bool"):
        return ANY if outside == "float32" else (0.0, 1.0)
    limits = [np.iinfo(kind) for kind in (dtype, np.dtype(outside)) if kind.kind in "iu"]
    return float(max(one.min for one in limits)), float(min(one.max for one in limits))


def _static_shape(info: onnx.ValueInfoProto) -> tuple[int, ...]:
    """The shape with a symbolic first axis set to 1."""
    if not info.type.tensor_type.HasField("shape"):
        raise CompileError.single("BNN007", f"input {info.name} has no shape", node=info.name)
    dims: list[int] = []
    for axis, dim in enumerate(info.type.tensor_type.shape.dim):
        size = dim.dim_value if dim.HasField("dim_value") else 0
        if size < 1 and axis > 0:
            label = f"has the size {size}" if dim.HasField("dim_value") else f"is '{dim.dim_param or 'unknown'}'"
            hint = "export with fixed sizes, or fix them with onnxruntime.tools.make_dynamic_shape_fixed"
            raise CompileError.single("BNN007", f"axis {axis} of input {info.name} {label}", node=info.name, hint=hint)
        dims.append(max(size, 1))
    return tuple(dims)


def declare_output(ctx: Context, info: onnx.ValueInfoProto, tensor: Value) -> None:
    """Bring an output into C order and its element type."""
    ctx.origin, ctx.hint = "", f"{info.name}_out"
    if isinstance(tensor, Parts):
        raise CompileError.single("BNN006", f"output {info.name} is a sequence of tensors", node=info.name)
    if 0 in tensor.shape:
        raise CompileError.single("BNN006", f"output {info.name} {list(tensor.shape)} has no elements", node=info.name)
    view = ctx.as_view(tensor)
    outside = _outside(info, view)
    value = ctx.physical(view, view.index.reshape(shape3(view.shape)))
    kind = ctx.builder.types[value]
    if kind.storage != STORAGE[outside]:
        value = ctx.emit(Map(Arg(0), kind.shape, STORAGE[outside]), [value])
    taken = {p.value for p in (*ctx.builder.inputs, *ctx.builder.outputs)}
    if value in taken:
        value = ctx.emit(Rearrange(np.arange(kind.size, dtype=np.int32).reshape(kind.shape)), [value])
    ctx.builder.outputs.append(Port(info.name, value, view.shape, outside))


def _outside(info: onnx.ValueInfoProto, view: View) -> str:
    declared: Any = info.type.tensor_type.elem_type
    if declared and declared not in onnx.helper.get_all_tensor_dtypes():
        raise CompileError.single("BNN006", f"output {info.name} is not a tensor of a known type", node=info.name)
    return c_dtype(onnx.helper.tensor_dtype_to_np_dtype(declared) if declared else view.dtype, info.name)
