"""Linear operators: convolutions and matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.errors import plural
from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.registry import handles
from bnn2c.importer.handlers.shape import elements, moved
from bnn2c.importer.handlers.spatial import channels_first, channels_last, each_image, window_of
from bnn2c.importer.handlers.transposed import phases
from bnn2c.importer.tensors import Array, Tensor, View, is_permutation, shape3
from bnn2c.ir.window import Window
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.mat_mul import MatMul


@handles("Conv")
def conv(ctx: Context, call: Call) -> Sequence[Tensor]:
    """1-D and 2-D convolution with constant weights; the bias is a separate addition."""
    weights = constant_weights(call, 1)
    x = ctx.as_view(call.tensor(0))
    if len(x.shape) not in (3, 4):
        raise call.refuse("BNN006", f"{len(x.shape) - 2}-D convolution is not supported")
    window = window_of(call, x.shape[2:], weights.shape[2:])
    if list(call.attrs.get("kernel_shape") or weights.shape[2:]) != list(weights.shape[2:]):
        raise call.refuse("BNN003", f"kernel_shape is not that of the weights {list(weights.shape)}")
    bias = call.operand(2)
    return [each_image(ctx, x, lambda image: add_bias(ctx, _convolved(ctx, call, image, weights, window), bias))]


def _convolved(ctx: Context, call: Call, x: View, weights: Array, window: Window) -> Tensor:
    """One image [1, C, spatial…]."""
    if covers(window, x) and call.attrs.get("group", 1) == 1:
        flat = View(x.value, x.index.reshape(1, -1), x.dtype)
        out = dense(ctx, call, flat, weights.reshape(len(weights), -1))
        return moved(out, elements(out).reshape(1, -1, *[1] * (len(x.shape) - 2)))
    kernels = weights.reshape(weights.shape[0], weights.shape[1], *window.kernel).transpose(0, 2, 3, 1)
    source = channels_last(ctx, x)
    op = Conv2d(np.ascontiguousarray(kernels, np.float32), window, call.attrs.get("group", 1))
    return channels_first(ctx, emit_checked(ctx, call, op, source), len(x.shape))


def covers(window: Window, x: View) -> bool:
    """Whether the kernel is as large as the image `x` [1, C, spatial…]: then the layer is dense."""
    size = (1, *x.shape[2:])[-2:]
    return window.kernel == size and window.dilation == (1, 1) and not any(window.pads)


def constant_weights(call: Call, position: int) -> Array:
    """The weight operand as an array."""
    weights = call.constant(position, "weights that depend on the input cannot be packed")
    if weights is None:
        raise call.refuse("BNN003", f"operand {position} of {call.op} is missing")
    return np.asarray(weights, np.float32)


def emit_checked(ctx: Context, call: Call, op: Conv2d, source: str) -> str:
    """Emit the convolution; a geometry that does not fit becomes a diagnostic."""
    try:
        return ctx.emit(op, [source])
    except ValueError as error:
        raise call.refuse("BNN003", f"{call.op}: {error}") from error


def add_bias(ctx: Context, x: Tensor, bias: Tensor | None) -> Tensor:
    """Add a bias along axis 1."""
    if bias is None:
        return x
    return ctx.elementwise("add", x, moved(bias, elements(bias).reshape(-1, *[1] * (len(x.shape) - 2))))


@handles("ConvTranspose")
def conv_transpose(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Sub-pixel decomposition: each output phase of the stride is a convolution with its share of the taps."""
    weights = constant_weights(call, 1)
    x = ctx.as_view(call.tensor(0))
    if len(x.shape) not in (3, 4):
        raise call.refuse("BNN006", f"{len(x.shape) - 2}-D transposed convolution is not supported")
    if len(weights) != x.shape[1] or len(weights) % call.attrs.get("group", 1):
        raise call.refuse("BNN003", f"weights {list(weights.shape)} do not fit {plural(x.shape[1], 'input channel')}")
    out = each_image(ctx, x, lambda image: phases(ctx, call, image, weights))
    return [add_bias(ctx, out, call.operand(2))]


@handles("MatMul")
def matmul(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Constant factor on either side: dense layer; two activations: batched product."""
    left, right = call.tensor(0), call.tensor(1)
    if isinstance(right, np.ndarray) and right.ndim <= 2:
        weights = right if right.ndim == 2 else right[:, None]
        out = dense(ctx, call, ctx.as_view(left), weights.T)
        return [out if right.ndim == 2 else moved(out, elements(out)[..., 0])]
    if isinstance(left, np.ndarray) and left.ndim <= 2:
        swapped = ctx.as_view(moved(right, np.swapaxes(elements(right), -1, -2)))
        out = dense(ctx, call, swapped, np.atleast_2d(left))
        flipped = np.swapaxes(elements(out), -1, -2)
        return [moved(out, flipped if left.ndim == 2 else flipped[..., 0, :])]
    return [product(ctx, ctx.as_view(left), ctx.as_view(right))]


def dense(ctx: Context, call: Call, x: View, weights: Array) -> Tensor:
    """`x[..., K] @ weights[N, K].T`. A flattened feature map is read in place by a kernel as large as the map."""
    if x.shape[-1] != weights.shape[1]:
        meet = f"{plural(x.shape[-1], 'input')} for {plural(weights.shape[1], 'weight')}"
        raise call.refuse("BNN003", f"{call.op}: {meet}")
    if not np.isfinite(weights).all():
        raise call.refuse("BNN011", f"the weights of {call.name} hold NaN or infinity")
    size = ctx.builder.types[x.value].size
    if x.index.size == x.shape[-1] and is_permutation(x.index, size):
        height, width, channels = ctx.shape(x.value)
        ordered = np.empty((len(weights), size), np.float32)
        ordered[:, x.index.ravel()] = weights
        op = Conv2d(ordered.reshape(-1, height, width, channels), Window((height, width)))
        name = ctx.emit(op, [x.value])
    else:
        kernels = np.ascontiguousarray(weights, np.float32)[:, None, None, :]
        name = ctx.emit(Conv2d(kernels, Window((1, 1))), [ctx.physical(x, x.index.reshape(shape3(x.shape)))])
    return ctx.view(name, (*x.shape[:-1], len(weights)))


def product(ctx: Context, left: View, right: View) -> Tensor:
    """Batched product of two activations; leading axes broadcast."""
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    rows, inner, cols = left.shape[-2], left.shape[-1], right.shape[-1]
    if right.shape[-2] != inner:
        raise ValueError(f"{list(left.shape)} and {list(right.shape)} have no product")
    ctx.limits.room((*batch, max(rows, cols), inner), "matrix product")
    a = np.broadcast_to(left.index, (*batch, rows, inner)).reshape(-1, rows, inner)
    b = np.swapaxes(np.broadcast_to(right.index, (*batch, inner, cols)), -1, -2).reshape(-1, cols, inner)
    name = ctx.emit(MatMul(), [ctx.physical(left, a), ctx.physical(right, b)])
    return ctx.view(name, (*batch, rows, cols))


@handles("Gemm")
def gemm(ctx: Context, call: Call) -> Sequence[Tensor]:
    """`alpha * A' B' + beta * C`."""
    left, right = call.tensor(0), call.tensor(1)
    if call.attrs.get("transA"):
        left = moved(left, elements(left).T)
    if call.attrs.get("transB"):
        right = moved(right, elements(right).T)
    if isinstance(right, np.ndarray):
        out: Tensor = dense(ctx, call, ctx.as_view(left), right.T)
    elif isinstance(left, np.ndarray):
        out = dense(ctx, call, ctx.as_view(moved(right, elements(right).T)), left)
        out = moved(out, elements(out).T)
    else:
        out = product(ctx, ctx.as_view(left), ctx.as_view(right))
    if call.attrs.get("alpha", 1.0) != 1.0:
        out = ctx.elementwise("mul", out, call.attrs["alpha"])
    bias = call.operand(2)
    if bias is None:
        return [out]
    if call.attrs.get("beta", 1.0) != 1.0:
        bias = ctx.elementwise("mul", bias, call.attrs["beta"])
    return [ctx.elementwise("add", out, bias)]


def matmul_tensors(ctx: Context, call: Call, left: Tensor, right: Tensor) -> Tensor:
    """A batched product where either side may be a constant."""
    if isinstance(right, np.ndarray) and right.shape[0] == 1:
        return dense(ctx, call, ctx.as_view(left), right[0].T)
    if isinstance(left, np.ndarray) and left.shape[0] == 1:
        out = dense(ctx, call, ctx.as_view(moved(right, np.swapaxes(elements(right), 1, 2))), left[0])
        return moved(out, np.swapaxes(elements(out), 1, 2))
    return product(ctx, ctx.as_view(left), ctx.as_view(right))
