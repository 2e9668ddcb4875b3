"""Reductions, normalisations over axes, and what picks a winner."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bnn2c.expr import Arg
from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.registry import handles
from bnn2c.importer.handlers.shape import elements, moved
from bnn2c.importer.limits import as_integer
from bnn2c.importer.tensors import Array, Tensor, View, storage_order
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.map import Map
from bnn2c.ops.reduce import Reduce
from bnn2c.ops.softmax import Softmax

FUNCTIONS = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "max", "ReduceMin": "min", "ReduceProd": "prod"}
MAX_WINNERS = 16
COMPOSED = {
    "ReduceL1": "sum",
    "ReduceL2": "sum",
    "ReduceSumSquare": "sum",
    "ReduceLogSum": "sum",
}

# Of integers their results are integers, rounded towards zero.
FRACTIONS = ("ReduceMean", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp")


@handles(*FUNCTIONS, *COMPOSED, "ReduceLogSumExp")
def reduction(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Axes as attribute or operand; none means all (unless noop_with_empty_axes)."""
    x = call.tensor(0)
    axes = call.numbers("axes", 1)
    if not axes:
        if call.attrs.get("noop_with_empty_axes"):
            return [x]
        axes = list(range(len(x.shape)))
    found = _reduced(ctx, call.op, x, axes, bool(call.attrs.get("keepdims", 1)))
    whole = x.dtype.kind in "iu" and call.op in FRACTIONS
    return [ctx.elementwise("trunc", found, dtype=x.dtype) if whole else found]


def _reduced(ctx: Context, op: str, x: Tensor, axes: Sequence[int], keepdims: bool) -> Tensor:
    e = ctx.elementwise
    if op == "ReduceLogSumExp":
        return _log_sum_exp(ctx, ctx.as_view(x), axes, keepdims)
    if op in ("ReduceL2", "ReduceSumSquare"):
        x = e("mul", x, x)
    elif op == "ReduceL1":
        x = e("abs", x)
    found = reduce_axes(ctx, ctx.as_view(x), axes, {**FUNCTIONS, **COMPOSED}[op], keepdims)
    after = {"ReduceL2": "sqrt", "ReduceLogSum": "log"}.get(op)
    return e(after, found) if after else found


def _log_sum_exp(ctx: Context, x: View, axes: Sequence[int], keepdims: bool) -> Tensor:
    """`m + log(sum(exp(x - m)))` with the largest element m, so that no power overflows."""
    e = ctx.elementwise
    powers = ctx.as_view(e("exp", e("sub", x, reduce_axes(ctx, x, axes, "max", True))))
    sums = reduce_axes(ctx, powers, axes, "sum", keepdims)
    return e("add", e("log", sums), reduce_axes(ctx, x, axes, "max", keepdims))


def reduce_axes(ctx: Context, x: View, axes: Sequence[int], function: str, keepdims: bool) -> Tensor:
    """Bring the tensor into [kept, reduced, kept] order and reduce the middle."""
    rank = len(x.shape)
    gone = sorted(a % rank for a in axes)
    order = [a for a in storage_order(x.index) if x.shape[a] > 1]
    inside = [a for a in order if a in gone]
    if not inside:
        return _dropped(x, gone, keepdims)
    first, last = order.index(inside[0]), order.index(inside[-1])
    if order[first : last + 1] != inside:
        order = inside + [a for a in order if a not in gone]
        first, last = 0, len(inside) - 1
    return _dropped(_reduce_sorted(ctx, x, order, (first, last + 1), function), gone, keepdims)


def _dropped(x: View, gone: list[int], keepdims: bool) -> View:
    return x if keepdims else x.with_index(np.squeeze(x.index, tuple(gone)))


def _reduce_sorted(ctx: Context, x: View, order: list[int], span: tuple[int, int], function: str) -> View:
    """Reduce the axes order[span]; they keep size 1 in the result."""
    groups = (order[: span[0]], order[span[0] : span[1]], order[span[1] :])
    sizes = [int(np.prod([x.shape[a] for a in group])) for group in groups]
    ones = [a for a in range(len(x.shape)) if x.shape[a] == 1]
    index = x.index.transpose(ones + order).reshape(sizes)
    name = ctx.emit(Reduce(function), [ctx.physical(x, index)])
    kept = groups[0] + groups[2]
    flat = np.arange(sizes[0] * sizes[2], dtype=np.int32).reshape([x.shape[a] for a in kept])
    ascending = flat.transpose(np.argsort(kept)) if kept else flat
    reduced = set(groups[1])
    return View(name, ascending.reshape([1 if a in reduced else n for a, n in enumerate(x.shape)]), x.dtype)


@handles("GlobalAveragePool", "GlobalMaxPool")
def global_pool(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Over all spatial axes."""
    x = ctx.as_view(call.tensor(0))
    function = "mean" if call.op == "GlobalAveragePool" else "max"
    return [reduce_axes(ctx, x, range(2, len(x.shape)), function, True)]


@handles("GlobalLpPool")
def global_norm(ctx: Context, call: Call) -> Sequence[Tensor]:
    """The p-norm over all spatial axes."""
    x = call.tensor(0)
    return [p_norm(ctx, call, x, lambda powers: reduce_axes(ctx, powers, range(2, len(x.shape)), "sum", True))]


def p_norm(ctx: Context, call: Call, x: Tensor, total: Callable[[View], Tensor]) -> Tensor:
    """`total(|x|^p)^(1/p)` with the attribute p, by default 2."""
    e, p = ctx.elementwise, call.attrs.get("p", 2)
    size = e("abs", x)
    powers = {1: size, 2: e("mul", x, x)}.get(p) or e("pow", size, float(p))
    sums = total(ctx.as_view(powers))
    return {1: sums, 2: e("sqrt", sums)}.get(p) or e("pow", sums, 1 / p)


def last_axis(ctx: Context, x: View, axis: int) -> tuple[str, tuple[int, ...]]:
    """The tensor with `axis` moved last as a physical [1, rows, n], and the logical shape in that order."""
    turned = np.moveaxis(x.index, axis, -1)
    return ctx.physical(x, turned.reshape(1, -1, turned.shape[-1])), turned.shape


@handles("Softmax", "LogSoftmax")
def softmax(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Before opset 13 all axes from `axis` on are one."""
    x = ctx.as_view(call.tensor(0))
    axis = call.attrs.get("axis", -1 if call.opset >= 13 else 1) % len(x.shape)
    logarithm = call.op == "LogSoftmax"
    if call.opset < 13:
        merged = x.with_index(x.index.reshape(int(np.prod(x.shape[:axis])), -1))
        name = ctx.emit(Softmax(logarithm), [last_axis(ctx, merged, 1)[0]])
        return [ctx.view(name, x.shape)]
    value, shape = last_axis(ctx, x, axis)
    out = ctx.view(ctx.emit(Softmax(logarithm), [value]), shape)
    return [out.with_index(np.moveaxis(out.index, -1, axis))]


@handles("TopK")
def winners(ctx: Context, call: Call) -> Sequence[Tensor]:
    """The k best along an axis, one after the other: a maximum and its index, which is then out of the race."""
    x = ctx.as_view(call.tensor(0))
    axis = call.attrs.get("axis", -1) % len(x.shape)
    count = (call.numbers("k", 1) or [0])[0]
    if not 1 <= count <= min(MAX_WINNERS, x.shape[axis]):
        raise call.refuse("BNN006", f"TopK is supported with k from 1 to {MAX_WINNERS}, here it is {count}")
    largest = bool(call.attrs.get("largest", 1))
    places = np.arange(x.shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(x.shape))])
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


@handles("Concat")
def concat(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Along one axis; constants are materialised."""
    tensors = [call.tensor(i) for i in range(len(call.inputs))]
    return [join(ctx, tensors, call.attrs["axis"])]


def join(ctx: Context, tensors: Sequence[Tensor], axis: int) -> Tensor:
    """Concatenate logical tensors; all are brought into the physical order of the largest."""
    filled = [t for t in tensors if 0 not in t.shape] or list(tensors[:1])
    if not any(isinstance(t, View) for t in filled):
        return np.concatenate([elements(t) for t in filled], axis)
    views = [ctx.as_view(t) for t in filled]
    if len({tuple(n for a, n in enumerate(v.shape) if a != axis % len(v.shape)) for v in views}) > 1:
        raise ValueError(f"shapes {[list(v.shape) for v in views]} do not agree outside of axis {axis}")
    order = storage_order(max(views, key=lambda v: v.index.size).index)
    return _join(ctx, views, axis % len(views[0].shape), order)


def stack(ctx: Context, tensors: Sequence[Tensor], axis: int) -> Tensor:
    """Concatenate along a new axis."""
    return join(ctx, [moved(t, np.expand_dims(elements(t), axis)) for t in tensors], axis)


def _join(ctx: Context, views: list[View], axis: int, order: list[int]) -> Tensor:
    from bnn2c.ops.concat import Concat

    place = order.index(axis)
    parts = []
    for view in views:
        turned = view.index.transpose(order)
        before, after = int(np.prod(turned.shape[:place])), int(np.prod(turned.shape[place + 1 :]))
        shape = _channel_shape(turned.shape[: place + 1]) if after == 1 else (before, turned.shape[place], after)
        parts.append(ctx.physical(view, turned.reshape(shape)))
    parts = _stored_alike(ctx, parts)
    name = ctx.emit(Concat(2 if after == 1 else 1), parts) if len(parts) > 1 else parts[0]
    logical = list(views[0].shape)
    logical[axis] = sum(v.shape[axis] for v in views)
    index = np.arange(int(np.prod(logical)), dtype=np.int32).reshape([logical[a] for a in order])
    return View(name, index.transpose(np.argsort(order)), views[0].dtype)


def _stored_alike(ctx: Context, parts: Sequence[str]) -> list[str]:
    """Integers of other widths, such as a graph input that is only cast, as the element type that holds all parts."""
    kinds = [ctx.builder.types[part].storage for part in parts]
    common = kinds[0] if len(set(kinds)) == 1 else "f32" if "f32" in kinds else "i32"
    return [
        part if kind == common else ctx.emit(Map(Arg(0), ctx.shape(part), common), [part])
        for part, kind in zip(parts, kinds, strict=True)
    ]


def _channel_shape(dims: tuple[int, ...]) -> tuple[int, int, int]:
    """[H, W, C] whose channels are the last axis, whatever its size, so that all parts of a Concat agree in H and W."""
    outer = [n for n in dims[:-1] if n > 1]
    return int(np.prod(outer[:-1])), outer[-1] if outer else 1, dims[-1]


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
    """1 at the first largest element, 0 elsewhere.  Before opset 13 all axes from `axis` on are one."""
    x, old = ctx.as_view(call.tensor(0)), call.opset < 13
    axis = call.attrs.get("axis", 1 if old else -1) % len(x.shape)
    rows = x.with_index(x.index.reshape(int(np.prod(x.shape[:axis])), -1)) if old else x
    axis = 1 if old else axis
    places = numbered(rows.shape[axis], axis, len(rows.shape))
    hit = ctx.elementwise("eq", _arg(ctx, rows, axis, ArgMax(), True), places)
    return [moved(hit, elements(hit).reshape(x.shape))]


@handles("CumSum")
def running_sum(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Partial sums along an axis, of what comes before or after an element, with or without it."""
    x, axis = call.tensor(0), call.constant(1, "the axis")
    if axis is None:
        raise call.refuse("BNN003", "the axis is missing")
    place = as_integer(axis)
    cut = np.moveaxis(elements(x), place, 0)
    order = cut[::-1] if call.attrs.get("reverse") else cut
    sums: list[Tensor] = [moved(x, order[0])]
    for step in order[1:]:
        sums.append(ctx.elementwise("add", sums[-1], moved(x, step)))
    if call.attrs.get("exclusive"):
        sums = [np.zeros(order[0].shape, x.dtype), *sums[:-1]]
    found = stack(ctx, sums[::-1] if call.attrs.get("reverse") else sums, 0)
    return [moved(found, np.moveaxis(elements(found), 0, place))]
