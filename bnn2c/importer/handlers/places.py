"""Operators that read elements at given places: Gather and its relatives.

Constant places move elements. Computed places of a constant table are rows of it; other computed places are compared
with all places there are, so that the time does not depend on them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.reductions import reduce_axes
from bnn2c.importer.handlers.registry import handles
from bnn2c.importer.handlers.shape import elements, moved
from bnn2c.importer.handlers.winners import at_place
from bnn2c.importer.tensors import Array, Tensor, View
from bnn2c.ops.embedding import Embedding

MOST_COMPARED = 1 << 16
MOST_CHOSEN = 4
ALL_PLACES = "a place that is computed is compared with all places, so that time and memory do not depend on it"


@handles("Gather")
def gather(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Constant indices move elements; computed indices choose rows."""
    x, ids = call.tensor(0), call.tensor(1)
    axis = call.attrs.get("axis", 0) % len(x.shape)
    if not isinstance(ids, View):
        ctx.limits.room([*ids.shape, elements(x).size // max(1, x.shape[axis])], call.name)
        return [moved(x, np.take(elements(x), ids.astype(np.int64), axis))]
    found = _rows(ctx, call, moved(x, np.moveaxis(elements(x), axis, 0)), ids)
    ranks = len(ids.shape)
    return [moved(found, np.moveaxis(elements(found), range(ranks), range(axis, axis + ranks)))]


def _rows(ctx: Context, call: Call, table: Tensor, ids: View) -> Tensor:
    """Rows of a table, by computed numbers: [ids.shape, row]."""
    if isinstance(table, View):
        flat = moved(table, elements(table).reshape(table.shape[0], -1))
        found = _chosen(ctx, call, flat, ids.with_index(ids.index.reshape(-1, 1)))
        return moved(found, elements(found).reshape(*ids.shape, *table.shape[1:]))
    if 2 <= table.size == len(table) <= MOST_CHOSEN:
        chosen = _number(ctx, table.ravel(), ids)
        return moved(chosen, elements(chosen).reshape(*ids.shape, *table.shape[1:]))
    rows = ctx.physical(ids, ids.index.reshape(1, 1, -1))
    name = ctx.emit(Embedding(table.reshape(table.shape[0], -1).astype(np.float32)), [rows])
    return ctx.view(name, (*ids.shape, *table.shape[1:]), table.dtype)


def _number(ctx: Context, table: Array, ids: View) -> Tensor:
    """`table[ids]` of a few numbers, elementwise: two of them, chosen by a comparison, are a binarisation.

    Negative ids count from the end, and ids are clamped into the table, as for its rows.
    """
    found: Tensor = table[0]
    for place in range(1 - len(table), len(table)):
        reached = ctx.elementwise("ge", ids, float(place))
        found = ctx.elementwise("where", reached, table[place], found, dtype=table.dtype)
    return found


def _chosen(ctx: Context, call: Call, table: Tensor, ids: View) -> Tensor:
    """`table[ids[n, c], c]`, table [rows, columns], ids [n, columns or 1]: a sum of the row or 0 over all rows."""
    rows, columns = table.shape
    if len(ids.index) * rows * columns > MOST_COMPARED:
        shapes = f"{list(ids.shape)} computed places of {rows} rows of {columns}"
        raise call.refuse("BNN006", f"{call.op}: {shapes} are too many", ALL_PLACES)
    hit = at_place(ctx, ids.with_index(ids.index[:, None]), rows, 1)
    kept = ctx.elementwise("where", hit, moved(table, elements(table)[None]), 0.0, dtype=table.dtype)
    found = ctx.as_view(reduce_axes(ctx, ctx.as_view(kept), [1], "sum", False))
    return View(found.value, found.index, table.dtype)


@handles("GatherElements")
def gather_elements(ctx: Context, call: Call) -> Sequence[Tensor]:
    """An index per element of the result, along one axis."""
    x, ids = call.tensor(0), call.tensor(1)
    axis = call.attrs.get("axis", 0) % len(x.shape)
    kept = elements(x)[tuple(slice(None) if a == axis else slice(n) for a, n in enumerate(ids.shape))]
    if not isinstance(ids, View):
        return [moved(x, np.take_along_axis(kept, ids.astype(np.int64), axis))]
    table = np.moveaxis(kept, axis, 0)
    turned = np.moveaxis(ids.index, axis, 0)
    found = _chosen(
        ctx,
        call,
        moved(x, table.reshape(len(table), -1)),
        ids.with_index(turned.reshape(len(turned), -1)),
    )
    return [moved(found, np.moveaxis(elements(found).reshape(turned.shape), 0, axis))]


@handles("GatherND")
def gather_nd(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Constant indices; a computed index of the first axis is Gather's."""
    x, places = call.tensor(0), call.tensor(1)
    batch = call.attrs.get("batch_dims", 0)
    if isinstance(places, View) and places.shape[-1] == 1 and not batch:
        return [_rows(ctx, call, x, places.with_index(places.index[..., 0]))]
    ids = call.constant(1, "the elements to gather")
    if ids is None:
        raise call.refuse("BNN003", "indices are missing")
    if not 0 <= batch < min(len(x.shape), ids.ndim):
        raise ValueError(f"batch_dims is {batch}, and must be below the rank of both operands")
    leading, flat = x.shape[:batch], ids.astype(np.int64).reshape(-1, *ids.shape[batch:])
    parts = zip(elements(x).reshape(-1, *x.shape[batch:]), flat, strict=True)
    found = np.stack([part[tuple(np.moveaxis(place, -1, 0))] for part, place in parts])
    return [moved(x, found.reshape(*leading, *found.shape[1:]))]
