"""Reductions, running sums, and the joining of tensors along an axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from bnn2c.expr import Arg
from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.registry import handles
from bnn2c.importer.handlers.shape import elements, moved
from bnn2c.importer.limits import as_integer
from bnn2c.importer.tensors import Array, Tensor, View, storage_order
from bnn2c.ops.concat import Concat
from bnn2c.ops.map import Map
from bnn2c.ops.reduce import Reduce

FUNCTIONS = {
    "ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "max", "ReduceMin": "min", "ReduceProd": "prod",
    "ReduceSumSquare": "sum", "ReduceLogSum": "sum",
}  # fmt: skip
NORMS = {"ReduceL1": 1, "ReduceL2": 2}
# Of integers their results are integers, rounded towards zero.
FRACTIONS = ("ReduceMean", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp")


@handles(*FUNCTIONS, *NORMS, "ReduceLogSumExp")
def reduction(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Axes as attribute or operand; none means all, or with noop_with_empty_axes each element by itself."""
    x = call.tensor(0)
    every = [] if call.attrs.get("noop_with_empty_axes") else list(range(len(x.shape)))
    axes = call.numbers("axes", 1) or every
    found = _reduced(ctx, call.op, x, axes, bool(call.attrs.get("keepdims", 1)))
    whole = x.dtype.kind in "iu" and call.op in FRACTIONS
    return [ctx.elementwise("trunc", found, dtype=x.dtype) if whole else found]


def _reduced(ctx: Context, op: str, x: Tensor, axes: Sequence[int], keepdims: bool) -> Tensor:
    if op in NORMS:
        return norm_over(ctx, x, axes, NORMS[op], keepdims)
    if op == "ReduceLogSumExp":
        return _log_sum_exp(ctx, ctx.as_view(x), axes, keepdims)
    operand = ctx.elementwise("mul", x, x) if op == "ReduceSumSquare" else x
    found = reduce_axes(ctx, ctx.as_view(operand), axes, FUNCTIONS[op], keepdims)
    return ctx.elementwise("log", found) if op == "ReduceLogSum" else found


def _log_sum_exp(ctx: Context, x: View, axes: Sequence[int], keepdims: bool) -> Tensor:
    """`m + log(sum(exp(x - m)))` with the largest element m, so no power overflows; of integers they are whole."""
    e = ctx.elementwise
    powers = e("exp", e("sub", x, reduce_axes(ctx, x, axes, "max", True)))
    whole = e("trunc", powers) if x.dtype.kind in "iu" else powers
    sums = reduce_axes(ctx, ctx.as_view(whole), axes, "sum", keepdims)
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
    return [norm_over(ctx, x, range(2, len(x.shape)), call.attrs.get("p", 2))]


def norm_over(ctx: Context, x: Tensor, axes: Sequence[int], p: int, keepdims: bool = True) -> Tensor:
    """The p-norm over some axes."""
    return p_norm(ctx, x, p, lambda powers: reduce_axes(ctx, powers, axes, "sum", keepdims))


def p_norm(ctx: Context, x: Tensor, p: int, total: Callable[[View], Tensor]) -> Tensor:
    """`total(|x|^p)^(1/p)`."""
    e = ctx.elementwise
    if p == 1:
        return total(ctx.as_view(e("abs", x)))
    if p == 2:
        return e("sqrt", total(ctx.as_view(e("mul", x, x))))
    return e("pow", total(ctx.as_view(e("pow", e("abs", x), float(p)))), 1 / p)


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
    place = order.index(axis)
    turned = [view.index.transpose(order) for view in views]
    whole = _whole_values(ctx, views, turned, place)
    parts = []
    for view, index in zip(views, turned, strict=True):
        before, after = int(np.prod(index.shape[:place])), int(np.prod(index.shape[place + 1 :]))
        shape = _channel_shape(index.shape[: place + 1]) if after == 1 else (before, index.shape[place], after)
        parts.append(view.value if whole is not None else ctx.physical(view, index.reshape(shape)))
    parts = _stored_alike(ctx, parts)
    along = whole if whole is not None else 2 if after == 1 else 1
    name = ctx.emit(Concat(along), parts) if len(parts) > 1 else parts[0]
    logical = list(views[0].shape)
    logical[axis] = sum(v.shape[axis] for v in views)
    index = np.arange(int(np.prod(logical)), dtype=np.int32).reshape([logical[a] for a in order])
    return View(name, index.transpose(np.argsort(order)), views[0].dtype)


def _whole_values(ctx: Context, views: list[View], turned: list[Array], place: int) -> int | None:
    """The physical axis, rows or columns, along which values need only be put together as they are, if there is one.

    So images that are joined stay images, and the states of a batch keep a row for each sequence.
    """
    shapes = [ctx.shape(view.value) for view in views]
    if any(not np.array_equal(i.ravel(), np.arange(prod(s))) for i, s in zip(turned, shapes, strict=True)):
        return None
    before, after = prod(turned[0].shape[:place]), prod(turned[0].shape[place + 1 :])
    fits = [{(*s[:axis], *s[axis + 1 :]) for s in shapes} for axis in (0, 1)]
    axes = [a for a in (0, 1) if len(fits[a]) == 1 and prod(shapes[0][:a]) == before and after > 1]
    return axes[-1] if axes else None


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
