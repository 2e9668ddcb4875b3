"""Sequences of tensors, as exporters write for lists and for EmbeddingBag; their lengths are known at compile time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.reductions import join, stack
from bnn2c.importer.handlers.registry import handles
from bnn2c.importer.handlers.shape import elements, moved
from bnn2c.importer.limits import as_integer
from bnn2c.importer.tensors import Parts, Tensor, Value

SEQUENCE = (
    "ConcatFromSequence",
    "SequenceAt",
    "SequenceConstruct",
    "SequenceEmpty",
    "SequenceErase",
    "SequenceInsert",
    "SequenceLength",
    "SplitToSequence",
)
"""Their results are not folded even when all operands are known: they may be sequences."""


@handles("SequenceEmpty", "SequenceConstruct")
def construct(ctx: Context, call: Call) -> Sequence[Value]:
    """A sequence of the operands."""
    return [Parts(tuple(call.tensor(k) for k in range(len(call.inputs))))]


@handles("SequenceInsert", "SequenceErase", "SequenceAt", "SequenceLength")
def change(ctx: Context, call: Call) -> Sequence[Value]:
    """Insert before a place (the end by default), remove or read what is at a place (the last by default), or count."""
    found = list(call.parts(0).tensors)
    if call.op == "SequenceLength":
        return [np.asarray(len(found), np.int64)]
    given = call.constant(2 if call.op == "SequenceInsert" else 1, "the place in the sequence")
    if call.op == "SequenceInsert":
        found.insert(len(found) if given is None else as_integer(given), call.tensor(1))
        return [Parts(tuple(found))]
    taken = found.pop(-1 if given is None else as_integer(given))
    return [taken if call.op == "SequenceAt" else Parts(tuple(found))]


@handles("ConcatFromSequence")
def concatenated(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Joined along an axis, or along a new one."""
    parts, axis = call.parts(0).tensors, call.attrs["axis"]
    return [(stack if call.attrs.get("new_axis") else join)(ctx, parts, axis)]


@handles("SplitToSequence")
def split(ctx: Context, call: Call) -> Sequence[Value]:
    """Parts of the sizes given along an axis; without sizes every element is a part, whose axis may be dropped."""
    x, sizes = call.tensor(0), call.constant(1, "the sizes of the parts")
    axis = call.attrs.get("axis", 0)
    length = x.shape[axis]
    if sizes is None:
        step, drop = 1, not call.attrs.get("keepdims", 1)
    else:
        step, drop = as_integer(sizes) if sizes.ndim == 0 else 0, False
    ends = np.arange(step, length, step) if step else np.cumsum(np.asarray(sizes))[:-1]
    pieces = np.split(elements(x), ends, axis)
    return [Parts(tuple(moved(x, np.squeeze(p, axis) if drop else p) for p in pieces))]
