"""Integers are computed as float32 numbers: whole numbers up to 2^24 are exact, and nothing wraps around by itself.

After every node, the interval of an integer result (`analysis/intervals.py`) is compared with what its ONNX type and
float32 hold. A result of 8 or 16 bits that may leave its type is wrapped around, as runtimes do. One of 32 or 64 bits
that may leave -2^24 … 2^24 is reported; a constant that float32 does not hold is refused where it would matter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.errors import Diagnostic
from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.tensors import Array, Tensor, Value, View

__all__ = ["check_constants", "report", "whole_numbers"]

EXACT = 2.0**24
_ARITHMETIC = frozenset(("Add", "Sub", "Mul", "Div", "Mod", "Pow", "Sum", "MatMul", "MatMulInteger", "ConvInteger"))
_BITS = frozenset(("BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"))
_COMPARISONS = frozenset(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Min", "Max", "Clip", "Where"))
_CURE = "keep integers small: Clip them, start from int8, uint8, int16 or bool inputs, or do the step in the firmware"


def check_constants(call: Call) -> None:
    """Refuse constants that would be rounded; beyond int32, a comparison with any number has the same result.

    Raises:
        CompileError: BNN031.
    """
    if call.op not in _ARITHMETIC | _COMPARISONS | _BITS:
        return
    for given in call.inputs:
        if not isinstance(given, np.ndarray) or given.dtype.kind not in "iu":
            continue
        rounded = given[_rounded(given)]
        if call.op in _COMPARISONS:
            numbers = rounded.astype(np.float64)
            rounded = rounded[(numbers > np.iinfo(np.int32).min) & (numbers < np.iinfo(np.int32).max)]
        if rounded.size:
            why = "integers are computed in float32, which holds every whole number up to 2^24 = 16777216"
            raise call.refuse("BNN031", f"the integer constant {rounded[0]} would be rounded", why, _CURE)


def _rounded(numbers: Array) -> Array:
    """Which integers float32 does not hold; exact for 64 bits, where float64 would round, too."""
    size = np.where(numbers < 0, np.negative(numbers.astype(np.uint64)), numbers.astype(np.uint64))
    lowest = size & np.negative(size)
    return np.asarray(size // np.maximum(lowest, 1) > np.uint64(EXACT))


def whole_numbers(ctx: Context, call: Call, results: Sequence[Value]) -> Sequence[Value]:
    """The results of a node, integers within the range of their type."""
    return [_held(ctx, call, x) if isinstance(x, View) and x.dtype.kind in "iu" else x for x in results]


def _held(ctx: Context, call: Call, x: View) -> View:
    """The tensor, wrapped around or reported when it may leave its type."""
    limits, (low, high) = np.iinfo(x.dtype), ctx.intervals[x.value]
    inside, exact = limits.min <= low and high <= limits.max, max(-low, high) <= EXACT
    narrow = limits.bits <= 16
    if inside and (exact or x.value in ctx.held):
        return x
    if not exact or not (inside or narrow):
        report(ctx, call, x)
    if narrow and not inside:
        x = _wrapped(ctx, x, float(limits.min), float(2**limits.bits))
    else:
        ctx.intervals[x.value] = max(low, float(limits.min)), min(high, float(limits.max))
    ctx.held.add(x.value)
    return x


def _wrapped(ctx: Context, x: View, least: float, span: float) -> View:
    """`(x - least) mod span + least`."""
    e = ctx.elementwise
    found = e("mod", e("sub", x, least), span, dtype=x.dtype)
    found = e("add", found, least, dtype=x.dtype)
    assert isinstance(found, View)
    ctx.intervals[found.value] = least, least + span - 1
    return found


def report(ctx: Context, call: Call, x: Tensor) -> None:
    """Warn where whole numbers become too large; what is computed from them, and real numbers that are cast, may be."""
    real = call.op in ("Cast", "CastLike") and call.tensor(0).dtype.kind == "f"
    if not isinstance(x, View) or real or x.value in ctx.reported or max(map(abs, ctx.intervals[x.value])) <= EXACT:
        return
    ends = np.array(ctx.intervals[x.value])
    if x.dtype.kind in "iu":
        ends = np.clip(ends, np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
    low, high = (f"{end:.0f}" if abs(end) <= EXACT else f"{end:.3g}" for end in ends)
    message = f"integers between {low} and {high} are possible here; beyond 2^24 they are rounded"
    why = "integers are computed in float32, which holds every whole number up to 2^24 = 16777216 and does not wrap"
    warning = Diagnostic("BNN031", message, node=call.name, op=call.op, why=why, hint=_CURE, severity="warning")
    ctx.warnings.append(warning)
    ctx.reported.add(x.value)
