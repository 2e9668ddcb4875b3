"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.reductions import norm_over, reduce_axes
from bnn2c.importer.handlers.registry import handles
from bnn2c.importer.handlers.shape import elements, moved
from bnn2c.importer.tensors import Array, Tensor
from bnn2c.ir.window import Window
from bnn2c.ops.average_pool import AveragePool


@handles("BatchNormalization")
def batch_norm(ctx: Context, call: Call) -> Sequence[Tensor]:
    """`y = x * s + (b - mean * s)`, `s = gamma * (1 / sqrt(var + eps))`, in float32: the order of onnxruntime."""
    x = call.tensor(0)
    if call.attrs.get("training_mode"):
        raise call.refuse("BNN006", f"{call.op} in training mode", hint="export the model in evaluation mode")
    found = [call.constant(i, "BatchNormalization parameters") for i in range(1, 5)]
    gamma, beta, mean, var = (np.zeros(1, np.float32) if p is None else np.asarray(p, np.float32) for p in found)
    spread = var + np.float32(call.attrs.get("epsilon", 1e-5))
    if (spread < 0).any():
        raise call.refuse("BNN011", f"the variance of {call.name} is negative in channel {int(spread.argmin())}")
    with np.errstate(all="ignore"):
        scale = gamma * (np.float32(1) / np.sqrt(spread))
        shift = beta - mean * scale
    if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        raise call.refuse("BNN011", f"the parameters of {call.name} give a scale or shift beyond float32")
    return [_affine(ctx, x, scale, shift)]


def _affine(ctx: Context, x: Tensor, scale: Array, shift: Array) -> Tensor:
    """Per-channel `x * scale + shift` along axis 1."""
    shape = (-1, *[1] * (len(x.shape) - 2))
    return ctx.elementwise("add", ctx.elementwise("mul", x, scale.reshape(shape)), shift.reshape(shape))


@handles("InstanceNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization")
def mean_variance(ctx: Context, call: Call) -> Sequence[Tensor]:
    """`(x - mean) / sqrt(var + eps)` over the operator's axes, then scale and bias (ONNX specification)."""
    x = call.tensor(0)
    rank = len(x.shape)
    groups = call.attrs.get("num_groups", 0)
    if groups:
        grouped = moved(x, elements(x).reshape(x.shape[0], groups, -1))
        out, *statistics = _standardise(ctx, call, grouped, [2])
        out = moved(out, elements(out).reshape(x.shape))
    elif call.op in ("LayerNormalization", "RMSNormalization"):
        out, *statistics = _standardise(ctx, call, x, list(range(call.attrs.get("axis", -1) % rank, rank)))
    else:
        out, *statistics = _standardise(ctx, call, x, list(range(2, rank)))
    return [_scaled(ctx, call, out, rank), *statistics][: len(call.proto.output)]


def _standardise(ctx: Context, call: Call, x: Tensor, axes: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """The standardised tensor, the mean, and the inverse of the standard deviation (outputs 2 and 3 of an operator)."""
    e = ctx.elementwise
    eps = call.attrs.get("epsilon", 1e-5)
    mean: Tensor = np.zeros((), np.float32)
    centred = x
    if call.op != "RMSNormalization":
        mean = reduce_axes(ctx, ctx.as_view(x), axes, "mean", True)
        centred = e("sub", x, mean)
    variance = reduce_axes(ctx, ctx.as_view(e("mul", centred, centred)), axes, "mean", True)
    deviation = e("sqrt", e("add", variance, float(eps)))
    return e("div", centred, deviation), mean, e("div", 1.0, deviation)


def _scaled(ctx: Context, call: Call, x: Tensor, rank: int) -> Tensor:
    """Apply the optional scale and bias operands: last axes for LayerNormalization, axis 1 otherwise."""
    last = call.op in ("LayerNormalization", "RMSNormalization")
    for position, fn in ((1, "mul"), (2, "add")):
        operand = call.operand(position)
        if operand is not None:
            shaped = operand if last else moved(operand, elements(operand).reshape(-1, *[1] * (rank - 2)))
            x = ctx.elementwise(fn, x, shaped)
    return x


@handles("MeanVarianceNormalization")
def mean_variance_normalization(ctx: Context, call: Call) -> Sequence[Tensor]:
    """`(x - mean) / (deviation + 1e-9)`; ONNX's function takes the difference of two squares, which may be negative."""
    e, x = ctx.elementwise, call.tensor(0)
    axes = call.attrs.get("axes", [0, 2, 3])
    centred = e("sub", x, reduce_axes(ctx, ctx.as_view(x), axes, "mean", True))
    deviation = e("sqrt", reduce_axes(ctx, ctx.as_view(e("mul", centred, centred)), axes, "mean", True))
    return [e("div", centred, e("add", deviation, 1e-9))]


@handles("LpNormalization")
def lp_norm(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Divide by the L1 or L2 norm along an axis."""
    x, e = call.tensor(0), ctx.elementwise
    norm = norm_over(ctx, x, [call.attrs.get("axis", -1)], call.attrs.get("p", 2))
    return [e("where", e("eq", norm, 0.0), 0.0, e("div", x, norm))]


@handles("LRN")
def local_response(ctx: Context, call: Call) -> Sequence[Tensor]:
    """`x / (bias + alpha / size * sum of x^2 over channels near by)^beta` (Krizhevsky et al. 2012, section 3.3)."""
    e, x, size = ctx.elementwise, call.tensor(0), call.attrs["size"]
    squares = ctx.as_view(e("mul", x, x))
    rows = squares.index.reshape(*x.shape[:2], -1).transpose(0, 2, 1)
    window = Window((1, size), pads=(0, (size - 1) // 2, 0, size // 2))
    value = ctx.physical(squares, rows.reshape(-1, x.shape[1], 1))
    sums = ctx.view(ctx.emit(AveragePool(window, np.ones((1, 1), np.float32)), [value]), rows.shape)
    total = moved(sums, sums.index.transpose(0, 2, 1).reshape(x.shape))
    base = e("add", e("mul", total, call.attrs.get("alpha", 1e-4) / size), call.attrs.get("bias", 1.0))
    return [e("div", x, e("pow", base, call.attrs.get("beta", 0.75)))]


@handles("QuantizeLinear")
def quantize_linear(ctx: Context, call: Call) -> Sequence[Tensor]:
    """`saturate(round_half_even(x / scale) + zero_point)`."""
    x = call.tensor(0)
    scale, zero, kind = _parameters(call, x)
    info = np.iinfo(kind)
    e = ctx.elementwise
    shifted = e("add", e("round", e("div", x, scale)), zero)
    return [e("max", e("min", shifted, float(info.max)), float(info.min), dtype=kind)]


@handles("DequantizeLinear")
def dequantize_linear(ctx: Context, call: Call) -> Sequence[Tensor]:
    """`(x - zero_point) * scale`."""
    x = call.tensor(0)
    scale, zero, _ = _parameters(call, x)
    return [ctx.elementwise("mul", ctx.elementwise("sub", x, zero), scale)]


def _parameters(call: Call, x: Tensor) -> tuple[Tensor, Tensor, np.dtype[Any]]:
    """Scale and zero point, shaped for the axis; the integer type (uint8 by default)."""
    scale, given = call.tensor(1), call.operand(2)
    zero: Tensor = np.zeros((), np.uint8) if given is None else given
    axis = call.attrs.get("axis", 1)
    return _along(scale, axis, len(x.shape)), _along(zero, axis, len(x.shape)), zero.dtype


def _along(parameter: Tensor, axis: int, rank: int) -> Tensor:
    """One number for all elements, or one for each place of the axis."""
    found = elements(parameter)
    shape = [-1 if a == axis % rank else 1 for a in range(rank)] if found.ndim == 1 and found.size > 1 else []
    return moved(parameter, found.reshape(shape))
