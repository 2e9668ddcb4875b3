"""What picks a winner along an axis or gives it the most: ArgMax, TopK, Hardmax, Softmax; OneHot, which marks one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.reductions import join, reduce_axes
from bnn2c.importer.handlers.registry import handles
from bnn2c.importer.handlers.shape import elements, moved
from bnn2c.importer.limits import as_integer
from bnn2c.importer.tensors import Array, Tensor, View
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.softmax import Softmax

MAX_WINNERS = 16


def last_axis(ctx: Context, x: View, axis: int) -> tuple[str, tuple[int, ...]]:
    """The tensor with `axis` moved last as a physical [1, rows, n], and the logical shape in that order."""
    turned = np.moveaxis(x.index, axis, -1)
    return ctx.physical(x, turned.reshape(1, -1, turned.shape[-1])), turned.shape


@handles("Softmax", "LogSoftmax")
def softmax(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Along one axis."""
    x = ctx.as_view(call.tensor(0))
    rows, axis = _merged(call, x)
    value, shape = last_axis(ctx, rows, axis)
    out = ctx.view(ctx.emit(Softmax(call.op == "LogSoftmax"), [value]), shape)
    return [out.with_index(np.moveaxis(out.index, -1, axis).reshape(x.shape))]


def _merged(call: Call, x: View) -> tuple[View, int]:
    """What Softmax and Hardmax work on, and the axis: before opset 13 all axes from the given one on are one."""
    if call.opset >= 13:
        return x, call.attrs.get("axis", -1) % len(x.shape)
    axis = call.attrs.get("axis", 1) % len(x.shape)
    return x.with_index(x.index.reshape(int(np.prod(x.shape[:axis])), -1)), 1


@handles("TopK")
def winners(ctx: Context, call: Call) -> Sequence[Tensor]:
    """The k best along an axis, one after the other: a maximum and its index, which is then out of the race."""
    x = ctx.as_view(call.tensor(0))
    axis = call.attrs.get("axis", -1) % len(x.shape)
    count = (call.numbers("k", 1) or [0])[0]
    if not 1 <= count <= min(MAX_WINNERS, x.shape[axis]):
        raise call.refuse("BNN006", f"TopK is supported with k from 1 to {MAX_WINNERS}, here it is {count}")
    largest = bool(call.attrs.get("largest", 1))
    places = numbered(x.shape[axis], axis, len(x.shape))
    values: list[Tensor] = []
    indices: list[Tensor] = []
    for _ in range(count):
        if indices:
            beaten = ctx.elementwise("eq", indices[-1], places)
            x = ctx.as_view(ctx.elementwise("where", beaten, -np.inf if largest else np.inf, x))
        values.append(reduce_axes(ctx, x, [axis], "max" if largest else "min", True))
        indices.append(_arg(ctx, x, axis, ArgMax(False, not largest), True))
    return [join(ctx, values, axis), join(ctx, indices, axis)]


@handles("ArgMax", "ArgMin")
def arg_max(ctx: Context, call: Call) -> Sequence[Tensor]:
    """int64 in ONNX, int32 in C."""
    x = ctx.as_view(call.tensor(0))
    axis = call.attrs.get("axis", 0) % len(x.shape)
    op = ArgMax(bool(call.attrs.get("select_last_index", 0)), call.op == "ArgMin")
    return [_arg(ctx, x, axis, op, bool(call.attrs.get("keepdims", 1)))]


def _arg(ctx: Context, x: View, axis: int, op: ArgMax, keepdims: bool) -> Tensor:
    value, shape = last_axis(ctx, x, axis)
    out = ctx.view(ctx.emit(op, [value]), shape[:-1], np.int64)
    return out.with_index(np.expand_dims(out.index, axis)) if keepdims else out


def numbered(length: int, axis: int, rank: int) -> Array:
    """0 … length-1 along one of `rank` axes."""
    return np.arange(length).reshape([-1 if a == axis else 1 for a in range(rank)])


def at_place(ctx: Context, ids: Tensor, length: int, axis: int) -> Tensor:
    """Which of `length` places along an axis, where the ids have one element, they mean; below 0 from the end."""
    places = numbered(length, axis, len(ids.shape))
    ends = (ctx.elementwise("eq", ids, labels, dtype=bool) for labels in (places, places - length))
    return ctx.elementwise("or", *ends, dtype=bool)


@handles("OneHot")
def one_hot(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Compare the ids with 0 … depth-1."""
    ids = call.tensor(0)
    depth, values = call.constant(1, "the depth"), call.constant(2, "the values")
    if depth is None or values is None:
        raise call.refuse("BNN003", "OneHot needs depth and values")
    axis = call.attrs.get("axis", -1) % (len(ids.shape) + 1)
    count = as_integer(depth)
    ctx.limits.room([*ids.shape, count], call.name)
    spread = moved(ids, np.expand_dims(elements(ids), axis))
    hit = at_place(ctx, spread, count, axis)
    return [ctx.elementwise("where", hit, np.asarray(values[1]), np.asarray(values[0]), dtype=values.dtype)]


@handles("Hardmax")
def hardmax(ctx: Context, call: Call) -> Sequence[Tensor]:
    """1 at the first largest element, 0 elsewhere."""
    x = ctx.as_view(call.tensor(0))
    rows, axis = _merged(call, x)
    places = numbered(rows.shape[axis], axis, len(rows.shape))
    hit = ctx.elementwise("eq", _arg(ctx, rows, axis, ArgMax(), True), places)
    return [moved(hit, elements(hit).reshape(x.shape))]
