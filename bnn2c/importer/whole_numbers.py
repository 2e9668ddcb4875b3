"""Integers are computed as float32 numbers: whole numbers up to 2^24 are exact, and nothing wraps around by itself.

After every node, the interval of an integer result (`analysis/intervals.py`) is compared with what its ONNX type and
float32 hold. A result of 8 or 16 bits that may leave its type is wrapped around, as runtimes do. One of 32 or 64 bits
that may leave -2^24 … 2^24 is reported; a constant that float32 does not hold is refused where it would matter.
Operators on bits are refused instead of reported: the bits that rounding loses are what they ask for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.errors import Diagnostic
from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.tensors import Array, Tensor, Value, View

__all__ = ["check_operands", "report", "whole_numbers"]

EXACT = 2.0**24
_ARITHMETIC = frozenset((
    "Add", "Sub", "Mul", "Div", "Mod", "Pow", "Sum", "MatMul", "MatMulInteger", "ConvInteger", "BitShift",
))  # fmt: skip
_BITS = frozenset(("BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"))
_COMPARISONS = frozenset(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Min", "Max", "Clip", "Where"))
_CURE = "keep integers small: Clip them, start from int8, uint8, int16 or bool inputs, or do the step in the firmware"
_WHY = "integers are computed in float32, which holds every whole number up to 2^24 = 16777216"
_BITS_WHY = f"{_WHY}: of larger ones it loses the lowest bits"
_BITS_CURE = "give packed bits as uint8 or uint16 inputs; Clip integers that are known to be small"


def check_operands(ctx: Context, call: Call) -> None:
    """Refuse constants and, where bits are asked for, tensors that may be rounded.

    Warn of the tensors where the result may be small all the same: remainders, and comparisons of two of them.

    Raises:
        CompileError: BNN031.
    """
    _check_constants(call)
    computed = [x for x in call.inputs if isinstance(x, View) and x.dtype.kind in "iu"]
    small_results = call.op in ("Div", "Mod") or call.op in _COMPARISONS and len(computed) > 1
    for x in computed:
        if call.op in _BITS:
            _keep_bits(ctx, call, x)
        elif small_results and x.value not in ctx.converted:
            report(ctx, call, x)


def _keep_bits(ctx: Context, call: Call, x: View) -> None:
    """Refuse an operand or result of an operator on bits that float32 may not hold."""
    if x.value not in ctx.reported and max(map(abs, ctx.intervals[x.value])) <= EXACT:
        return
    message = f"the bits of integers {_between(ctx, x)} are asked for, and beyond 2^24 they are rounded"
    raise call.refuse("BNN031", message, _BITS_WHY, _BITS_CURE)


def _check_constants(call: Call) -> None:
    """Refuse constants that would be rounded; beyond int32, a comparison with any number has the same result."""
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
            raise call.refuse("BNN031", f"the integer constant {rounded[0]} would be rounded", _WHY, _CURE)


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
    if call.op in _BITS:
        _keep_bits(ctx, call, x)
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
    if isinstance(x, View) and call.op in ("Cast", "CastLike") and call.tensor(0).dtype.kind == "f":
        ctx.converted.add(x.value)
        return
    if not isinstance(x, View) or x.value in ctx.reported or max(map(abs, ctx.intervals[x.value])) <= EXACT:
        return
    message = f"integers {_between(ctx, x)} are possible here; beyond 2^24 they are rounded"
    why = f"{_WHY} and does not wrap"
    warning = Diagnostic("BNN031", message, node=call.name, op=call.op, why=why, hint=_CURE, severity="warning")
    ctx.warnings.append(warning)
    ctx.reported.add(x.value)


def _between(ctx: Context, x: View) -> str:
    """The numbers that a tensor may hold, in words."""
    ends = np.array(ctx.intervals[x.value])
    if x.dtype.kind in "iu":
        ends = np.clip(ends, np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
    low, high = (f"{end:.0f}" if abs(end) <= EXACT else f"{end:.3g}" for end in ends)
    return f"between {low} and {high}"
