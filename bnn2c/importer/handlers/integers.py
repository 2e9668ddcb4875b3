"""Operators on quantised integers: differences from the zero points, sums of products, and their rescaling.

Sums of products of 8-bit numbers are whole numbers that float32 holds exactly up to 2^24, so the operators of real
networks compute them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.linear import conv, matmul
from bnn2c.importer.handlers.reductions import reduce_axes
from bnn2c.importer.handlers.registry import handles
from bnn2c.importer.handlers.shape import elements, moved
from bnn2c.importer.tensors import Tensor, View
from bnn2c.importer.whole_numbers import report


@handles("ConvInteger")
def conv_integer(ctx: Context, call: Call) -> Sequence[Tensor]:
    """`Conv(x - x_zero_point, w - w_zero_point)`, where padding is 0 after the subtraction."""
    return [_counted(_conv_sums(ctx, call, (0, 2), (1, 3), None))]


@handles("MatMulInteger")
def matmul_integer(ctx: Context, call: Call) -> Sequence[Tensor]:
    """`(a - a_zero_point) @ (b - b_zero_point)`."""
    return [_counted(_matmul_sums(ctx, call, (0, 2), (1, 3)))]


@handles("QLinearConv")
def qlinear_conv(ctx: Context, call: Call) -> Sequence[Tensor]:
    """The sums of ConvInteger and an int32 bias, rescaled to the output's integers."""
    sums = _conv_sums(ctx, call, (0, 2), (3, 5), call.operand(8))
    scale = _multiplier(call)
    return [_rescaled(ctx, call, sums, scale.reshape(-1, *[1] * (len(sums.shape) - 2)) if scale.size > 1 else scale)]


@handles("QLinearMatMul")
def qlinear_matmul(ctx: Context, call: Call) -> Sequence[Tensor]:
    """The sums of MatMulInteger, rescaled to the output's integers."""
    if np.prod(call.tensor(1).shape) > 1:
        raise call.refuse("BNN006", f"{call.op} with a scale per row of its input is not supported")
    return [_rescaled(ctx, call, _matmul_sums(ctx, call, (0, 2), (3, 5)), _multiplier(call))]


@handles("DynamicQuantizeLinear")
def dynamic_quantize_linear(ctx: Context, call: Call) -> Sequence[Tensor]:
    """uint8 codes, scale and zero point of the range that the tensor has, with 0 in it (ONNX specification)."""
    e = ctx.elementwise
    x = ctx.as_view(call.tensor(0))
    axes = range(len(x.shape))
    low = e("min", reduce_axes(ctx, x, axes, "min", False), 0.0)
    high = e("max", reduce_axes(ctx, x, axes, "max", False), 0.0)
    span = e("div", e("sub", high, low), 255.0)
    scale = e("where", e("eq", span, 0.0), 1.0, span)
    zero = _saturated(ctx, e("round", e("div", e("sub", 0.0, low), scale)), np.dtype(np.uint8))
    codes = _saturated(ctx, e("add", e("round", e("div", x, scale)), zero), np.dtype(np.uint8))
    return [codes, scale, zero]


def _conv_sums(
    ctx: Context, call: Call, image: tuple[int, int], kernel: tuple[int, int], bias: Tensor | None
) -> Tensor:
    """Convolution of operands without their zero points; each is given by the positions (tensor, zero point)."""
    weights, zero = call.tensor(kernel[0]), call.operand(kernel[1])
    if zero is not None and np.prod(zero.shape) > 1:
        zero = moved(zero, elements(zero).reshape(-1, *[1] * (len(weights.shape) - 1)))
    x = _centred(ctx, call.tensor(image[0]), call.operand(image[1]))
    return conv(ctx, replace(call, inputs=(x, _centred(ctx, weights, zero), bias)))[0]


def _matmul_sums(ctx: Context, call: Call, left: tuple[int, int], right: tuple[int, int]) -> Tensor:
    """Matrix product of operands without their zero points; one per row of the left operand stands in a column."""
    row_zero = call.operand(left[1])
    if row_zero is not None and len(row_zero.shape) == 1 and row_zero.shape[0] > 1:
        row_zero = moved(row_zero, elements(row_zero)[:, None])
    a = _centred(ctx, call.tensor(left[0]), row_zero)
    b = _centred(ctx, call.tensor(right[0]), call.operand(right[1]))
    return matmul(ctx, replace(call, inputs=(a, b)))[0]


def _centred(ctx: Context, x: Tensor, zero: Tensor | None) -> Tensor:
    return x if zero is None else ctx.elementwise("sub", x, zero)


def _counted(sums: Tensor) -> Tensor:
    """The sums as the int32 tensor that they are in ONNX."""
    return View(sums.value, sums.index, np.dtype(np.int32)) if isinstance(sums, View) else sums.astype(np.int32)


def _multiplier(call: Call) -> np.ndarray[Any, np.dtype[np.float32]]:
    """`x_scale * w_scale / y_scale` in float32, one for all or one per output channel."""
    found = [np.asarray(call.constant(at, "a quantisation scale"), np.float32) for at in (1, 4, 6)]
    return np.asarray(found[0] * found[1] / found[2], np.float32)


def _rescaled(ctx: Context, call: Call, sums: Tensor, scale: np.ndarray[Any, Any]) -> Tensor:
    """`saturate(round_half_even(sums * scale) + zero_point)` in the type of the zero point."""
    zero = call.constant(7, "the output's zero point")
    if zero is None:
        raise call.refuse("BNN003", f"{call.op} needs a zero point of its output")
    report(ctx, call, sums)
    e = ctx.elementwise
    return _saturated(ctx, e("add", e("round", e("mul", sums, scale)), zero), zero.dtype)


def _saturated(ctx: Context, x: Tensor, kind: np.dtype[Any]) -> Tensor:
    """The nearest number that the integer type holds."""
    info = np.iinfo(kind)
    return ctx.elementwise("max", ctx.elementwise("min", x, float(info.max)), float(info.min), dtype=kind)
