"""Elementwise ONNX operators; all of them become expressions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import onnx

from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.registry import handles
from bnn2c.importer.inputs import c_dtype
from bnn2c.importer.tensors import Tensor

BOOL = np.dtype(bool)
UNARY = {
    "Neg": "neg", "Abs": "abs", "Sign": "sign", "Round": "round", "Floor": "floor", "Ceil": "ceil", "Sqrt": "sqrt",
    "Exp": "exp", "Log": "log", "Tanh": "tanh", "Sigmoid": "sigmoid", "Erf": "erf", "Relu": "relu", "Sin": "sin",
    "Cos": "cos", "Atan": "atan",
}  # fmt: skip
BINARY = {"Add": "add", "Sub": "sub", "Mul": "mul", "Pow": "pow"}
COMPARE = {
    "Greater": "gt", "GreaterOrEqual": "ge", "Less": "lt", "LessOrEqual": "le", "Equal": "eq", "And": "and", "Or": "or",
    "Xor": "xor",
}  # fmt: skip
VARIADIC = {"Min": "min", "Max": "max", "Sum": "add", "Mean": "add"}


def _kind(call: Call) -> np.dtype[Any]:
    """Element type of the result of an arithmetic operator: that of its first operand."""
    return np.dtype(call.tensor(0).dtype)


@handles(*UNARY)
def unary(ctx: Context, call: Call) -> Sequence[Tensor]:
    """One function of one tensor."""
    return [ctx.elementwise(UNARY[call.op], call.tensor(0), dtype=_kind(call))]


@handles(*BINARY)
def binary(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Arithmetic of two tensors; a power with a small constant integer exponent becomes products."""
    left, right = call.tensor(0), call.tensor(1)
    if call.op == "Pow" and isinstance(right, np.ndarray) and right.size == 1:
        exponent = float(right.reshape(()))
        if exponent in (1.0, 2.0, 3.0):
            return [reduce(lambda a, b: ctx.elementwise("mul", a, b, dtype=_kind(call)), [left] * int(exponent))]
        if exponent == 0.5:
            return [ctx.elementwise("sqrt", left, dtype=_kind(call))]
    return [ctx.elementwise(BINARY[call.op], left, right, dtype=_kind(call))]


@handles("Div", "Mod")
def division(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Division truncates on integers; Mod follows the divisor's sign unless fmod is set."""
    integer = _kind(call).kind in "iu"
    fn = ("idiv" if integer else "div") if call.op == "Div" else ("fmod" if call.attrs.get("fmod") else "mod")
    return [ctx.elementwise(fn, call.tensor(0), call.tensor(1), dtype=_kind(call))]


@handles(*COMPARE)
def compare(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Comparisons and logic give 0 or 1."""
    return [ctx.elementwise(COMPARE[call.op], call.tensor(0), call.tensor(1), dtype=BOOL)]


@handles("Not", "IsNaN")
def negate(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Unary tests."""
    return [ctx.elementwise("not" if call.op == "Not" else "isnan", call.tensor(0), dtype=BOOL)]


@handles("IsInf")
def infinite(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Either infinity, or the one that is asked for."""
    x = call.tensor(0)
    found: Tensor = np.zeros(x.shape, bool)
    for sign, end in (("negative", -np.inf), ("positive", np.inf)):
        if call.attrs.get(f"detect_{sign}", 1):
            found = ctx.elementwise("or", found, ctx.elementwise("eq", x, end, dtype=BOOL), dtype=BOOL)
    return [found]


@handles(*VARIADIC)
def variadic(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Any number of operands, folded from the left."""
    tensors = [call.tensor(i) for i in range(len(call.inputs))]
    total = reduce(lambda a, b: ctx.elementwise(VARIADIC[call.op], a, b, dtype=_kind(call)), tensors)
    return [ctx.elementwise("div", total, float(len(tensors))) if call.op == "Mean" else total]


@handles("Where")
def where(ctx: Context, call: Call) -> Sequence[Tensor]:
    """`condition ? a : b`."""
    kind = np.dtype(call.tensor(1).dtype)
    return [ctx.elementwise("where", call.tensor(0), call.tensor(1), call.tensor(2), dtype=kind)]


@handles("Clip")
def clip(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Bounds as attributes (opset 6) or optional operands (opset 11)."""
    found = call.tensor(0)
    for key, position, fn in (("min", 1, "max"), ("max", 2, "min")):
        bound = call.attrs.get(key, call.operand(position))
        if bound is not None:
            found = ctx.elementwise(fn, found, bound, dtype=_kind(call))
    return [found]


@handles("Cast", "CastLike")
def cast(ctx: Context, call: Call) -> Sequence[Tensor]:
    """To integer truncates, to bool tests for non-zero, to float keeps the value."""
    x = call.tensor(0)
    target = (
        np.dtype(call.tensor(1).dtype)
        if call.op == "CastLike"
        else onnx.helper.tensor_dtype_to_np_dtype(call.attrs["to"])
    )
    c_dtype(target)
    if target == BOOL:
        return [x if x.dtype == BOOL else ctx.elementwise("bool", x, dtype=BOOL)]
    if target.kind in "iu" and x.dtype.kind == "f":
        return [ctx.elementwise("trunc", x, dtype=target)]
    return [
        ctx.elementwise("add", x, 0.0, dtype=target) if isinstance(x, np.ndarray) else type(x)(x.value, x.index, target)
    ]


@handles("Identity", "Dropout", "StopGradient")
def identity(ctx: Context, call: Call) -> Sequence[Tensor]:
    """The tensor itself; a Dropout mask is all ones at inference."""
    x = call.tensor(0)
    training = call.constant(2, "whether it is for training") if call.op == "Dropout" else None
    if training is not None and bool(np.any(training)) and bool(np.any(call.constant(1, "its ratio") != 0)):
        raise call.refuse("BNN006", "Dropout in training mode is random", hint="export the model in evaluation mode")
    return [x, np.ones(x.shape, bool)][: max(1, len(call.proto.output))]
