"""Writes into a tensor at given places: rows of a cache of keys and values, columns of a table.

Where the places are constants only addresses change. Computed places are compared with every place of the tensor, one
update after the other: elementwise work, so that a cache that nothing else reads is changed in place, and the same
time for every place. Semantics as in ONNX: negative places count from the end, later updates win.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.reductions import join
from bnn2c.importer.handlers.registry import handles
from bnn2c.importer.handlers.shape import elements, moved
from bnn2c.importer.handlers.winners import at_place, numbered
from bnn2c.importer.tensors import Tensor, View
from bnn2c.ir.op import Array

MAX_COMPUTED = 32
"""Updates at computed places; each is a pass over the tensor."""


@handles("ScatterElements", "Scatter")
def scatter_elements(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Element `updates[i, j, …]` goes to `data[i, places[i, j, …], …]`, `axis` being the place's."""
    data, places, updates = (call.tensor(i) for i in range(3))
    axis = call.attrs.get("axis", 0) % len(data.shape)
    reduction = call.attrs.get("reduction", "none")
    if reduction == "none" and not isinstance(places, View):
        grid: list[Array] = list(np.indices(places.shape))
        grid[axis] = _from_begin(places, np.array(data.shape[axis]))
        return [_moved_in(ctx, data, updates, tuple(grid))]
    others = [n for a, n in enumerate(data.shape) if a != axis]
    if others != [n for a, n in enumerate(places.shape) if a != axis]:
        why = "places are computed, and there are fewer of them than elements along the other axes"
        raise call.refuse("BNN008", f"{call.op} writes to a part of the other axes", why=why)
    count = _checked(call, places.shape[axis])
    for k in range(count):
        hit = at_place(ctx, _cut(places, axis, k), data.shape[axis], axis)
        data = _updated(ctx, hit, _cut(updates, axis, k), data, reduction)
    return [data]


def _from_begin(places: Array, sizes: Array) -> Array:
    """Places counted from the begin of their axes.

    Raises:
        ValueError: one lies outside.
    """
    if ((places < -sizes) | (places >= sizes)).any():
        raise ValueError("a place lies outside of the axis that it counts along")
    return np.asarray(places.astype(np.int64) % sizes)


@handles("ScatterND")
def scatter_nd(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Slice `updates[i, …]` goes to `data[places[i, 0], places[i, 1], …]`."""
    data, places, updates = (call.tensor(i) for i in range(3))
    reduction, depth = call.attrs.get("reduction", "none"), places.shape[-1]
    shape, rest = data.shape, data.shape[depth:]
    if reduction == "none" and not isinstance(places, View):
        grid = _from_begin(places, np.array(shape[:depth]))
        return [_moved_in(ctx, data, updates, tuple(np.moveaxis(grid, -1, 0)))]
    count = _checked(call, int(np.prod(places.shape[:-1])))
    ids = elements(places).reshape(count, depth)
    slices = elements(updates).reshape(count, *[1] * depth, *rest)
    for k in range(count):
        hit: Tensor = np.asarray(True)
        for axis in range(depth):
            place = moved(places, ids[k, axis].reshape([1] * len(shape)))
            hit = ctx.elementwise("and", hit, at_place(ctx, place, shape[axis], axis))
        data = _updated(ctx, hit, moved(updates, slices[k]), data, reduction)
    return [data]


@handles("TensorScatter")
def tensor_scatter(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Rows of a cache from a place on, in a ring if `mode` is circular (opset 24)."""
    cache, updates = call.tensor(0), call.tensor(1)
    axis = call.attrs.get("axis", -2) % len(cache.shape)
    first = call.tensor(2) if len(call.inputs) > 2 else np.zeros(cache.shape[0], np.int64)
    first = moved(first, elements(first).reshape(-1, *[1] * (len(cache.shape) - 1)))
    length, count = cache.shape[axis], _checked(call, updates.shape[axis])
    labels = numbered(length, axis, len(cache.shape))
    for k in range(count):
        hit = ctx.elementwise("eq", first, labels - k)
        if call.attrs.get("mode") == "circular":
            hit = ctx.elementwise("or", hit, ctx.elementwise("eq", first, labels - k + length))
        cache = _updated(ctx, hit, _cut(updates, axis, k), cache, "none")
    return [cache]


def _checked(call: Call, count: int) -> int:
    """The number of updates at computed places.

    Raises:
        CompileError: BNN008 when there are many.
    """
    if count > MAX_COMPUTED:
        why = f"each of the {count} updates would be a pass over the whole tensor"
        raise call.refuse("BNN008", f"{call.op} writes to more than {MAX_COMPUTED} computed places", why=why)
    return count


def _moved_in(ctx: Context, data: Tensor, updates: Tensor, places: tuple[Array, ...]) -> Tensor:
    """Updates at constant places: only addresses change."""
    if data.dtype != updates.dtype:
        raise ValueError(f"updates are {updates.dtype}, the tensor is {data.dtype}")
    flat = [moved(t, elements(t).reshape(-1)) for t in (data, updates)]
    both = join(ctx, flat, 0)
    index = np.arange(flat[0].shape[0]).reshape(data.shape)
    index[places] = flat[0].shape[0] + np.arange(flat[1].shape[0]).reshape(updates.shape)
    return moved(both, elements(both)[index])


def _cut(tensor: Tensor, axis: int, k: int) -> Tensor:
    """Element k along an axis, which stays."""
    return moved(tensor, np.take(elements(tensor), [k], axis))


def _updated(ctx: Context, hit: Tensor, update: Tensor, data: Tensor, reduction: str) -> Tensor:
    """The tensor with one update where `hit`."""
    found = ctx.elementwise(reduction, data, update, dtype=data.dtype) if reduction != "none" else update
    return ctx.elementwise("where", hit, found, data, dtype=data.dtype)
