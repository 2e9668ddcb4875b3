"""Pools, padding and resizing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.expr import compress
from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.interpolation import linear_axis, nearest_axis
from bnn2c.importer.handlers.reductions import p_norm
from bnn2c.importer.handlers.registry import handles
from bnn2c.importer.handlers.shape import elements, moved
from bnn2c.importer.handlers.spatial import channels_first, channels_last, each_image, window_of
from bnn2c.importer.tensors import Array, Tensor, View, shape3, storage_order
from bnn2c.ir.window import Window
from bnn2c.ops.average_pool import AveragePool
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.rearrange import Rearrange


@handles("MaxPool")
def max_pool(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Values only; indices are refused, and windows that lie in the padding, where nothing is the largest."""
    if len([o for o in call.proto.output if o]) > 1:
        raise call.refuse("BNN006", "the indices of MaxPool are not supported")
    x = _image(ctx, call)
    window = window_of(call, x.shape[2:])
    if (_pixels(window, x.shape[2:]) == 0).any():
        raise call.refuse("BNN006", "a window of MaxPool lies in the padding and holds no pixel")
    return [_pooled(ctx, x, MaxPool(window))]


def _pixels(window: Window, size: Sequence[int]) -> Array:
    """How many pixels of an image (its spatial size) each window holds, [OH, OW]."""
    height, width = size if len(size) == 2 else (1, *size)
    rows, cols = window.valid_taps(height, width)
    return np.asarray(np.outer(rows.sum(1), cols.sum(1)))


def _pooled(ctx: Context, x: View, op: MaxPool | AveragePool) -> Tensor:
    rank = len(x.shape)
    return each_image(ctx, x, lambda image: channels_first(ctx, ctx.emit(op, [channels_last(ctx, image)]), rank))


def _image(ctx: Context, call: Call) -> View:
    x = ctx.as_view(call.tensor(0))
    if len(x.shape) not in (3, 4):
        raise call.refuse("BNN006", f"{call.op} of a tensor of rank {len(x.shape)} is not supported")
    return x


@handles("AveragePool")
def average_pool(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Divisors follow count_include_pad and ceil_mode."""
    x = _image(ctx, call)
    window = window_of(call, x.shape[2:])
    size = (1, *x.shape[2:]) if len(x.shape) == 3 else x.shape[2:]
    return [_pooled(ctx, x, AveragePool(window, _divisors(call, window, (size[0], size[1]))))]


@handles("LpPool")
def lp_pool(ctx: Context, call: Call) -> Sequence[Tensor]:
    """The p-norm of each window."""
    x = _image(ctx, call)
    window = window_of(call, x.shape[2:])
    sums = AveragePool(window, np.ones((1, 1), np.float32))
    return [p_norm(ctx, x, call.attrs.get("p", 2), lambda powers: _pooled(ctx, powers, sums))]


def _divisors(call: Call, window: Window, size: tuple[int, int]) -> Array:
    """How many pixels each window averages: [OH or 1, OW or 1]; 1 for a window of none, whose average is 0."""
    grown = list(size)
    pads = list(window.pads)
    if call.attrs.get("count_include_pad"):
        explicit = list(call.attrs.get("pads") or [0, 0, 0, 0])
        explicit = explicit if len(explicit) == 4 else [0, explicit[0], 0, explicit[1]]
        if call.attrs.get("auto_pad", "NOTSET") not in ("NOTSET", ""):
            explicit = pads
        grown = [size[a] + explicit[a] + explicit[a + 2] for a in range(2)]
        pads = [0, 0, pads[2] - explicit[2], pads[3] - explicit[3]]
    counter = Window(window.kernel, window.stride, window.dilation, (pads[0], pads[1], pads[2], pads[3]))
    return compress(np.maximum(_pixels(counter, grown), 1).astype(np.float32))


@handles("Pad")
def pad(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Reflect, edge and wrap only move elements; a constant is selected instead of the tensor."""
    x = call.tensor(0)
    widths = _pad_widths(call, len(x.shape))
    mode = call.attrs.get("mode", "constant")
    cut = tuple(slice(max(0, -b), n - max(0, -a)) for (b, a), n in zip(widths, x.shape, strict=True))
    cropped = elements(x)[cut]
    grow = [(max(0, b), max(0, a)) for b, a in widths]
    ctx.limits.room([n + b + a for n, (b, a) in zip(cropped.shape, grow, strict=True)], call.name)
    if mode != "constant":
        return [moved(x, np.pad(cropped, grow, mode))]
    value = call.attrs.get("value", call.constant(2, "the padding value"))
    number = 0.0 if value is None or np.size(value) == 0 else float(np.reshape(value, ()))
    if not isinstance(x, View):
        return [np.pad(cropped, grow, constant_values=np.asarray(number, x.dtype))]
    return [_padded(ctx, x.with_index(cropped), grow, number)]


def _padded(ctx: Context, x: View, grow: list[tuple[int, int]], number: float) -> Tensor:
    """A view with -1 where the constant goes, placed in the channels-last order of an image."""
    if not any(b or a for b, a in grow):
        return x
    index = np.pad(x.index, grow, constant_values=-1)
    order = storage_order(x.index)
    moved_index = index.transpose(order)
    name = ctx.emit(Rearrange(moved_index.reshape(shape3(moved_index.shape)), number), [x.value])
    positions = np.arange(index.size, dtype=np.int32).reshape(moved_index.shape)
    return View(name, positions.transpose(np.argsort(order)), x.dtype)


def _pad_widths(call: Call, rank: int) -> list[tuple[int, int]]:
    """(before, after) of every axis."""
    pads = call.numbers("pads", 1) or call.numbers("paddings", 1) or [0] * (2 * rank)
    axes = call.constant(3, "the padded axes")
    chosen = range(rank) if axes is None else [int(a) % rank for a in axes.ravel()]
    widths = [(0, 0)] * rank
    for position, axis in enumerate(chosen):
        widths[axis] = (pads[position], pads[position + len(pads) // 2])
    return widths


@handles("Resize", "Upsample")
def resize(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Nearest neighbour moves elements; linear interpolation is a product with constant weights along each axis."""
    x = call.tensor(0)
    if call.attrs.get("antialias"):
        raise call.refuse("BNN006", "Resize with antialias is not supported")
    sizes, scales = _resize_target(call, x.shape)
    mode = call.attrs.get("mode", "nearest")
    ctx.limits.room(sizes, call.name)
    found: Tensor = x
    for axis, (old, new, scale) in enumerate(zip(x.shape, sizes, scales, strict=True)):
        if old == new and scale == 1:
            continue
        if mode == "nearest":
            found = moved(found, np.take(elements(found), nearest_axis(call, old, new, scale), axis))
        elif mode in ("linear", "bilinear"):
            found = linear_axis(ctx, call, found, axis, new, scale)
        else:
            raise call.refuse("BNN006", f"Resize mode {mode} is not supported")
    return [found]


def _resize_target(call: Call, shape: tuple[int, ...]) -> tuple[list[int], list[float]]:
    """Output sizes and scales from whichever operand or attribute gives them, for all axes or for those named."""
    scales_at = 1 if call.op == "Upsample" or call.opset < 11 else 2
    given = call.attrs.get("scales")
    given = call.constant(scales_at, "the scales") if given is None else np.asarray(given)
    axes = [int(a) % len(shape) for a in call.attrs.get("axes") or range(len(shape))]
    scales = [1.0] * len(shape)
    sizes = list(shape)
    if given is not None and given.size:
        for axis, scale in zip(axes, given.ravel().tolist(), strict=True):
            scales[axis], sizes[axis] = float(scale), int(np.floor(shape[axis] * scale))
        return sizes, scales
    wanted = call.numbers("sizes", 3) or [shape[a] for a in axes]
    for axis, size, scale in zip(axes, *_kept_aspect(call, [shape[a] for a in axes], wanted), strict=True):
        sizes[axis], scales[axis] = size, scale
    return sizes, scales


def _kept_aspect(call: Call, old: list[int], new: list[int]) -> tuple[list[int], list[float]]:
    """Sizes and scales after keep_aspect_ratio_policy."""
    scales = [n / o for o, n in zip(old, new, strict=True)]
    policy = call.attrs.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return new, scales
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [int(np.floor(o * scale + 0.5)) for o in old], [scale] * len(old)
