"""Einsum: products of two tensors after another, each a batched matrix product, and sums."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.linear import matmul_tensors
from bnn2c.importer.handlers.reductions import reduce_axes
from bnn2c.importer.handlers.registry import handles
from bnn2c.importer.handlers.shape import elements, moved
from bnn2c.importer.tensors import Tensor

ELLIPSIS = "..."
FIRST_IMPLIED = 0x100
Term = tuple[Tensor, str]
"""A tensor and a subscript per axis."""


@handles("Einsum")
def einsum(ctx: Context, call: Call) -> Sequence[Tensor]:
    """The operands are multiplied from the left; a subscript that no later one and no result has is summed at once."""
    operands, out = _subscripts(call)
    total, *others = [(call.tensor(position), names) for position, names in enumerate(operands)]
    for k, other in enumerate(others):
        later = out + "".join(names for _, names in others[k + 1 :])
        total = _product(ctx, call, total, other, later)
    return [_summed(ctx, *total, out)[0]]


def _product(ctx: Context, call: Call, left: Term, right: Term, later: str) -> Term:
    """`sum a b` over the subscripts that both have and nobody needs later; those of one alone are summed before."""
    (a, a_s), (b, b_s) = (
        _summed(ctx, tensor, names, "".join(s for s in names if s in other + later))
        for (tensor, names), other in ((left, right[1]), (right, left[1]))
    )
    shared = [s for s in a_s if s in b_s]
    summed = [s for s in shared if s not in later]
    batch = [s for s in shared if s in later]
    rows, cols = [s for s in a_s if s not in b_s], [s for s in b_s if s not in a_s]
    sizes = dict(zip(a_s + b_s, a.shape + b.shape, strict=True))
    if summed:
        found = matmul_tensors(
            ctx, call, _grouped(a, a_s, (batch, rows, summed), sizes), _grouped(b, b_s, (batch, summed, cols), sizes)
        )
    else:
        found = ctx.elementwise(
            "mul", _grouped(a, a_s, (batch, rows, []), sizes), _grouped(b, b_s, (batch, [], cols), sizes), dtype=a.dtype
        )
    names = batch + rows + cols
    return moved(found, elements(found).reshape([sizes[s] for s in names])), "".join(names)


def _summed(ctx: Context, x: Tensor, names: str, out: str) -> Term:
    """Sum over the subscripts that the result lacks, then transpose."""
    gone = [i for i, s in enumerate(names) if s not in out]
    found = reduce_axes(ctx, ctx.as_view(x), gone, "sum", False) if gone else x
    kept = [s for s in names if s in out]
    return moved(found, elements(found).transpose([kept.index(s) for s in out])), out


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
    if len(parts) != len(call.inputs) or repeated or not known:
        raise call.refuse("BNN006", f"Einsum '{equation}' is not a product of tensors that have each subscript once")
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
