"""Constants that a training which diverged leaves behind: NaN, infinity, numbers beyond 1e30; told in one warning.

An infinite bound of Clip, Pad or a comparison, and a mask of -inf (or of the lowest float32 number) that is added, or
that multiplies 1 - mask, are meant so. Weights and statistics that are not finite are refused: what they meet is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.errors import Diagnostic
from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.tensors import Array, View

__all__ = ["advise", "note_diverged"]

_LARGEST = np.float64(1e30)  # compared in its precision, which float16 does not have
_NAN, _INFINITY = "NaN", "infinity"
_WEIGHTED = frozenset(("BatchNormalization", "Conv", "ConvTranspose", "GRU", "Gemm", "LSTM", "MatMul", "RNN"))
_SCALED = _WEIGHTED | frozenset((
    "DequantizeLinear", "Div", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "Mul", "PRelu",
    "QLinearConv", "QLinearMatMul", "QuantizeLinear", "RMSNormalization",
))  # fmt: skip
_NAMED = 3


def note_diverged(ctx: Context, call: Call) -> None:
    """Keep the names of such constants, each once with the first node that reads it.

    Raises:
        CompileError: BNN011, weights that are not finite.
    """
    if not any(isinstance(x, View) for x in call.inputs):
        return
    for name, given in zip(call.proto.input, call.inputs, strict=True):
        if isinstance(given, np.ndarray) and given.dtype.kind == "f" and name not in ctx.diverged:
            held = _held(call.op, given)
            if call.op in _WEIGHTED and held in (_NAN, _INFINITY):
                raise call.refuse("BNN011", f"the constant {name} holds {held}")
            if held:
                ctx.diverged[name] = call.name, call.op, held


def _held(op: str, numbers: Array) -> str:
    """What is wrong with a constant operand, in words; empty when nothing is."""
    if np.isnan(numbers).any():
        return _NAN
    strange = numbers[np.abs(numbers) > min(_LARGEST, float(np.finfo(numbers.dtype).max))]
    if op in ("Add", "Sub", "Sum"):
        strange = strange[(strange > 0) != (op == "Sub")]
    elif op == "Mul" and numbers.size == 1:
        strange = strange[(strange > 0) | np.isinf(strange)]
    elif op not in _SCALED:
        return ""
    if not strange.size:
        return ""
    return _INFINITY if np.isinf(strange).any() else f"numbers as large as {np.abs(strange).max():.3g}"


def advise(ctx: Context) -> Sequence[Diagnostic]:
    """One warning about all of them, with the node of the first one; none when there are none."""
    if not ctx.diverged:
        return []
    (first, (node, op, held)), *others = ctx.diverged.items()
    message = f"the constant {first} holds {held}"
    if others:
        names = ", ".join(f"{name} ({held})" for name, (_, _, held) in others[:_NAMED])
        more = f", and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        message += f"; there are also {names}{more}"
    why = "training that diverged leaves such numbers, and what is computed from them means nothing"
    hint = "look at that tensor in the training run; when it is meant so, nothing has to be done"
    return [Diagnostic("BNN034", message, node=node, op=op, why=why, hint=hint, severity="warning")]
