"""Linear operators: convolutions and matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.errors import plural
from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.reductions import reduce_axes
from bnn2c.importer.handlers.registry import handles
from bnn2c.importer.handlers.shape import elements, moved
from bnn2c.importer.handlers.spatial import channels_first, channels_last, each_image, window_of
from bnn2c.importer.tensors import Array, Tensor, View, is_permutation, shape3
from bnn2c.ir.window import Window
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.mat_mul import MatMul

ELLIPSIS = "..."
FIRST_IMPLIED = 0x100


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
    if not np.isfinite(weights).all():
        raise call.refuse("BNN011", f"the weights of {call.name} hold NaN or infinity")
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
    from bnn2c.importer.handlers.transposed import phases

    weights = constant_weights(call, 1)
    x = ctx.as_view(call.tensor(0))
    if call.attrs.get("group", 1) != 1 or len(x.shape) not in (3, 4):
        raise call.refuse("BNN006", "ConvTranspose is supported in 1-D and 2-D with group 1")
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


@handles("Einsum")
def einsum(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Two operands with one or more summed subscripts: a batched product after transposing; one operand: a sum."""
    operands_s, out_s = _subscripts(call)
    if len(operands_s) == 1:
        return [_summed(ctx, call.tensor(0), operands_s[0], out_s)]
    left_s, right_s = operands_s
    left, right = call.tensor(0), call.tensor(1)
    summed = [s for s in left_s if s in right_s and s not in out_s]
    batch = [s for s in left_s if s in right_s and s in out_s]
    rows = [s for s in left_s if s not in right_s]
    cols = [s for s in right_s if s not in left_s]
    sizes = dict(zip(left_s + right_s, left.shape + right.shape, strict=True))
    a = _grouped(left, left_s, (batch, rows, summed), sizes)
    b = _grouped(right, right_s, (batch, summed, cols), sizes)
    out = matmul_tensors(ctx, call, a, b)
    names = batch + rows + cols
    full = elements(out).reshape([sizes[s] for s in names])
    return [moved(out, full.transpose([names.index(s) for s in out_s]))]


def matmul_tensors(ctx: Context, call: Call, left: Tensor, right: Tensor) -> Tensor:
    """A batched product where either side may be a constant."""
    if isinstance(right, np.ndarray) and right.shape[0] == 1:
        return dense(ctx, call, ctx.as_view(left), right[0].T)
    if isinstance(left, np.ndarray) and left.shape[0] == 1:
        out = dense(ctx, call, ctx.as_view(moved(right, np.swapaxes(elements(right), 1, 2))), left[0])
        return moved(out, np.swapaxes(elements(out), 1, 2))
    return product(ctx, ctx.as_view(left), ctx.as_view(right))


def _summed(ctx: Context, x: Tensor, names: str, out: str) -> Tensor:
    """Sum over the subscripts that the result lacks, then transpose."""
    gone = [i for i, s in enumerate(names) if s not in out]
    found = reduce_axes(ctx, ctx.as_view(x), gone, "sum", False) if gone else x
    kept = [s for s in names if s in out]
    return moved(found, elements(found).transpose([kept.index(s) for s in out]))


def _subscripts(call: Call) -> tuple[list[str], str]:
    """Subscripts of the operands and of the result; without an arrow those that occur once, in alphabetical order."""
    equation = str(call.attrs["equation"]).replace(" ", "")
    operands, arrow, out = equation.partition("->")
    if not arrow:
        once = sorted(s for s in set(operands) - {*",."} if operands.count(s) == 1)
        out = "".join([ELLIPSIS if ELLIPSIS in operands else "", *once])
    ranks = [len(call.tensor(position).shape) for position in range(len(call.inputs))]
    given = list(zip(operands.split(","), ranks, strict=False))
    parts = [_spelled(part, _implied(part, rank)) for part, rank in given]
    out = _spelled(out, max(_implied(part, rank) for part, rank in given))
    letters = set("".join(parts))
    repeated = any(len(set(p)) != len(p) for p in (*parts, out))
    known = bool(letters) and set(out) <= letters and "." not in letters
    if len(parts) != len(call.inputs) or len(parts) > 2 or repeated or not known:
        raise call.refuse("BNN006", f"Einsum '{equation}' is not a sum of one tensor or a product of two")
    return parts, out


def _implied(part: str, rank: int) -> int:
    """Number of axes that the ellipsis of an operand stands for."""
    return rank - len(part.replace(ELLIPSIS, "")) if ELLIPSIS in part else 0


def _spelled(part: str, count: int) -> str:
    """The ellipsis as `count` subscripts of its own, numbered from its last axis, where those of all operands meet."""
    return part.replace(ELLIPSIS, "".join(chr(FIRST_IMPLIED + i) for i in reversed(range(count))))


def _grouped(tensor: Tensor, names: str, groups: Sequence[Sequence[str]], sizes: dict[str, int]) -> Tensor:
    """Transpose to the order of `groups` and merge each group into one axis."""
    order = [names.index(s) for group in groups for s in group]
    merged = [int(np.prod([sizes[s] for s in group])) for group in groups]
    return moved(tensor, elements(tensor).transpose(order).reshape(merged))
