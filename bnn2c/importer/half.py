"""float16 and bfloat16 tensors are computed in float32; the first node whose results they would round is told."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from bnn2c.errors import Diagnostic
from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.tensors import View

__all__ = ["note_half"]

_NARROW = frozenset(("float16", "bfloat16"))
_EXACT = frozenset((
    "Abs", "ArgMax", "ArgMin", "Ceil", "Clip", "Concat", "DepthToSpace", "Dropout", "Equal", "Expand", "Flatten",
    "Floor", "Gather", "GlobalMaxPool", "Greater", "GreaterOrEqual", "Identity", "If", "Less", "LessOrEqual", "Loop",
    "Max", "MaxPool", "Min", "Neg", "Pad", "ReduceMax", "ReduceMin", "Relu", "Reshape", "Round", "Scan", "Shape",
    "Sign", "Size", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "TopK", "Transpose", "Unsqueeze", "Where",
))  # fmt: skip


def note_half(ctx: Context, call: Call) -> None:
    """Warn once, where the first result is not rounded."""
    if any(one.code == "BNN032" for one in ctx.warnings) or not _rounds(call):
        return
    message = "float16 is computed in float32: results are neither rounded to 11 bits nor overflow at 65504"
    ctx.warnings.append(Diagnostic("BNN032", message, node=call.name, op=call.op, severity="warning"))


def _rounds(call: Call) -> bool:
    """Whether the results of this node on the device would be rounded to a narrow type."""
    kinds = {x.dtype.name for x in call.inputs if isinstance(x, (View, np.ndarray))}
    if call.op == "Cast":
        narrow = call.attrs.get("to") in (TensorProto.FLOAT16, TensorProto.BFLOAT16)
        return narrow and bool(kinds & {"float32", "float64"}) and isinstance(call.operand(0), View)
    return call.op not in _EXACT and bool(kinds & _NARROW) and any(isinstance(x, View) for x in call.inputs)
