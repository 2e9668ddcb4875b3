"""Operators on the bits of integers, which are float32 numbers as all integers (`importer/whole_numbers.py`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.registry import handles
from bnn2c.importer.tensors import Tensor

BITWISE = {"BitwiseAnd": "bit_and", "BitwiseOr": "bit_or", "BitwiseXor": "bit_xor"}


@handles(*BITWISE)
def bitwise(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Bit by bit in two's complement; the result has the type of the operands."""
    left, right = call.tensor(0), call.tensor(1)
    return [ctx.elementwise(BITWISE[call.op], left, right, dtype=left.dtype)]


@handles("BitwiseNot")
def inverted(ctx: Context, call: Call) -> Sequence[Tensor]:
    """The largest number of an unsigned type minus x; `-1 - x` in two's complement."""
    x = call.tensor(0)
    ones = -1.0 if x.dtype.kind == "i" else float(np.iinfo(x.dtype).max)
    return [ctx.elementwise("sub", ones, x, dtype=x.dtype)]


@handles("BitShift")
def shifted(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Whole numbers by or times powers of two, all of which are exact.

    To the left, the bits that leave the type are taken off first. Shifts by the width or more, or (since opset 28) by
    a negative number, leave the sign at most.
    """
    x, count = call.tensor(0), call.tensor(1)
    e, info = ctx.elementwise, np.iinfo(x.dtype)
    by = e("min", count, float(info.bits))
    if info.min < 0:
        by = e("where", e("lt", count, 0.0), float(info.bits), by)
    power = e("pow", 2.0, by)
    if call.attrs["direction"] == "RIGHT":
        found = e("floor", e("div", x, power), dtype=x.dtype)
    else:
        span = e("pow", 2.0, e("sub", float(info.bits), by))
        periods = e("floor", e("add", e("div", x, span), 0.5 if info.min < 0 else 0.0))
        found = e("mul", e("sub", x, e("mul", periods, span)), power, dtype=x.dtype)
    ctx.stays_within(found, float(info.min), float(info.max))
    return [found]
