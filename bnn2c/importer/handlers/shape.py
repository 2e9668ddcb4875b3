"""Operators that only move elements: they change index maps and cost nothing at run time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.errors import plural
from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.registry import handles, refuses
from bnn2c.importer.limits import as_integer
from bnn2c.importer.tensors import Array, Tensor, View


def moved(tensor: Tensor, change: Array) -> Tensor:
    """The tensor with its elements (an index map, or the constant itself) replaced by `change`."""
    return tensor.with_index(change) if isinstance(tensor, View) else change


def elements(tensor: Tensor) -> Array:
    """The array that a mover rearranges: the index map of a view, the values of a constant."""
    return tensor.index if isinstance(tensor, View) else tensor


@handles("Reshape")
def reshape(ctx: Context, call: Call) -> Sequence[Tensor]:
    """0 copies an axis (unless allowzero), -1 infers one."""
    x = call.tensor(0)
    wanted = call.numbers("shape", 1) or []
    if not call.attrs.get("allowzero"):
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    try:
        return [moved(x, elements(x).reshape(wanted))]
    except ValueError as error:
        raise call.refuse(
            "BNN006",
            f"cannot reshape {list(x.shape)} to {wanted}",
            hint="export with a batch size of 1, or with -1 in place of the batch in the new shape",
        ) from error


@handles("Flatten")
def flatten(ctx: Context, call: Call) -> Sequence[Tensor]:
    """To a matrix, split at `axis`."""
    x = call.tensor(0)
    axis = call.attrs.get("axis", 1)
    axis += len(x.shape) if axis < 0 else 0
    rows = int(np.prod(x.shape[:axis]))
    return [moved(x, elements(x).reshape(rows, -1))]


@handles("Transpose")
def transpose(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Axes permuted by `perm`, reversed by default."""
    x = call.tensor(0)
    return [moved(x, elements(x).transpose(call.attrs.get("perm")))]


@handles("Squeeze", "Unsqueeze")
def squeeze(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Axes of size 1 removed or added (attribute before opset 13)."""
    x = call.tensor(0)
    axes = call.numbers("axes", 1)
    if call.op == "Unsqueeze":
        return [moved(x, np.expand_dims(elements(x), tuple(axes or ())))]
    return [moved(x, np.squeeze(elements(x), None if axes is None else tuple(axes)))]


@handles("Expand")
def expand(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Two-sided broadcast to a shape."""
    x = call.tensor(0)
    wanted = tuple(call.numbers("shape", 1) or ())
    ctx.limits.room(wanted, call.name)
    shape = np.broadcast_shapes(x.shape, wanted)
    ctx.limits.room(shape, call.name)
    return [moved(x, np.broadcast_to(elements(x), shape))]


@handles("Tile")
def tile(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Repeated along every axis."""
    x = call.tensor(0)
    repeats = call.numbers("repeats", 1) or []
    if len(repeats) != len(x.shape):
        raise call.refuse("BNN003", f"Tile of {list(x.shape)} by {list(repeats)}")
    ctx.limits.room([n * r for n, r in zip(x.shape, repeats, strict=True)], call.name)
    return [moved(x, np.tile(elements(x), repeats))]


@handles("Slice")
def slice_(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Start, end, axes and steps as attributes (opset 1) or operands (opset 10)."""
    x = call.tensor(0)
    starts, ends = call.numbers("starts", 1) or [], call.numbers("ends", 2) or []
    axes = call.numbers("axes", 3, list(range(len(starts)))) or []
    steps = call.numbers("steps", 4, [1] * len(starts)) or []
    given = {"starts": starts, "ends": ends, "axes": axes, "steps": steps}
    if len(set(map(len, given.values()))) > 1:
        lengths = ", ".join(f"{plural(len(numbers), 'number')} as {name}" for name, numbers in given.items())
        raise call.refuse("BNN003", f"Slice is given {lengths}: it takes one of each for every axis that it cuts")
    if len({axis % len(x.shape) for axis in axes}) < len(axes):
        raise call.refuse("BNN003", f"Slice names an axis twice: {axes}")
    cut = [slice(None)] * len(x.shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        stop = None if step < 0 and end < -x.shape[axis] else end
        cut[axis] = slice(start, stop, step)
    return [moved(x, elements(x)[tuple(cut)])]


@handles("Split")
def split(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Equal parts, or the sizes given."""
    x = call.tensor(0)
    axis = call.attrs.get("axis", 0)
    sizes = call.numbers("split", 1)
    if sizes is None:
        count = len(call.proto.output)
        part = -(-x.shape[axis] // count)
        sizes = [part] * (count - 1) + [x.shape[axis] - part * (count - 1)]
    return [moved(x, part) for part in np.split(elements(x), np.cumsum(sizes)[:-1], axis)]


@handles("Trilu")
def triangle(ctx: Context, call: Call) -> Sequence[Tensor]:
    """The upper or lower triangle of matrices, zeros elsewhere."""
    x, diagonal = call.tensor(0), call.constant(1, "the diagonal")
    cut = np.triu if call.attrs.get("upper", 1) else np.tril
    kept = cut(np.ones(x.shape[-2:], bool), 0 if diagonal is None else as_integer(diagonal))
    return [ctx.elementwise("where", kept, x, 0.0, dtype=x.dtype)]


@handles("ReverseSequence")
def reverse_sequence(ctx: Context, call: Call) -> Sequence[Tensor]:
    """The first elements along the time axis in reverse order, as many as each sequence of the batch is long."""
    x, lengths = call.tensor(0), call.constant(1, "the lengths of the sequences")
    batch, time = call.attrs.get("batch_axis", 1), call.attrs.get("time_axis", 0)
    if lengths is None or lengths.shape != x.shape[batch : batch + 1] or {batch, time} != {0, 1}:
        raise call.refuse("BNN003", "ReverseSequence needs a length for each sequence, and axes 0 and 1")
    found = np.moveaxis(elements(x), (batch, time), (0, 1)).copy()
    for sequence, length in zip(found, lengths.tolist(), strict=True):
        sequence[:length] = sequence[:length][::-1]
    return [moved(x, np.moveaxis(found, (0, 1), (batch, time)))]


@handles("DepthToSpace", "SpaceToDepth")
def depth_space(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Blocks of pixels to channels and back (DCR and CRD order)."""
    x = call.tensor(0)
    n, c, h, w = x.shape
    b = call.attrs["blocksize"]
    e = elements(x)
    crd = call.attrs.get("mode") == "CRD"
    if call.op == "SpaceToDepth":
        back = (0, 1, 3, 5, 2, 4) if crd else (0, 3, 5, 1, 2, 4)
        pieces = e.reshape(n, c, h // b, b, w // b, b).transpose(back)
        return [moved(x, pieces.reshape(n, -1, h // b, w // b))]
    blocks = e.reshape(n, c // b // b, b, b, h, w) if crd else e.reshape(n, b, b, c // b // b, h, w)
    order = (0, 1, 4, 2, 5, 3) if crd else (0, 3, 4, 1, 5, 2)
    return [moved(x, blocks.transpose(order).reshape(n, -1, h * b, w * b))]


@handles("Shape", "Size")
def shape_of(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Known at compile time, since the batch size is 1 and no shape depends on data."""
    x = call.tensor(0)
    if call.op == "Size":
        return [np.asarray(int(np.prod(x.shape)), np.int64)]
    return [np.asarray(x.shape, np.int64)[call.attrs.get("start", 0) : call.attrs.get("end", None)]]


@refuses("NonMaxSuppression")
def suppression(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Refused: the number of boxes depends on the input; a runtime function does it."""
    raise call.refuse(
        "BNN008",
        "NonMaxSuppression keeps a number of boxes that depends on the input",
        hint="cut the graph before it, compile with --nms and call bnn2c_nms_f32 (docs/detection.md)",
    )


@refuses("NonZero", "Compress", "Unique")
def data_dependent(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Refused: the amount of data would depend on the input."""
    raise call.refuse(
        "BNN008",
        f"{call.op} makes shapes or positions that depend on the input",
        why="C arrays and the schedule are fixed at compile time",
        hint="write `x[mask] = y` as torch.where(mask, …, x) before exporting",
    )
