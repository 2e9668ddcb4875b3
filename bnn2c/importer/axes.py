"""Refuses axes that an operand does not have: the handlers count from either end and would take another one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bnn2c.importer.call import Call
from bnn2c.importer.tensors import Parts

__all__ = ["check_axes"]

_ALONG = frozenset(
    ("ArgMax", "ArgMin", "Concat", "Gather", "GatherElements", "Hardmax", "LayerNormalization", "LogSoftmax")
    + ("RMSNormalization", "Scatter", "ScatterElements", "Softmax", "Split", "TopK", "LpNormalization")
)
_QUANTISERS = frozenset(("QuantizeLinear", "DequantizeLinear"))


def check_axes(call: Call) -> None:
    """Refuse an axis outside of -rank … rank - 1 of the first operand (… rank for Flatten).

    Raises:
        CompileError: BNN003.
    """
    first = call.inputs[0] if call.inputs else None
    if first is None or isinstance(first, Parts):
        return
    rank = len(first.shape)
    for axis in _axes(call):
        if not -rank <= axis < rank + (call.op == "Flatten"):
            message = f"{call.op} is asked for axis {axis} of an operand with {rank} axes"
            raise call.refuse("BNN003", message, hint=f"axes count from 0 to {rank - 1}, or from -{rank} to -1")


def _axes(call: Call) -> Iterator[int]:
    """The axes that the node names; that of one scale for a whole tensor says nothing."""
    several = call.op in _QUANTISERS and len(call.inputs) > 1 and np.prod(call.tensor(1).shape) > 1
    if "axis" in call.attrs and (call.op in _ALONG or call.op == "Flatten" or several):
        yield int(call.attrs["axis"])
    if call.op.startswith("Reduce") or call.op in ("MeanVarianceNormalization", "Squeeze"):
        yield from call.numbers("axes", 1, []) or []
    if call.op == "Slice":
        yield from call.numbers("axes", 3, []) or []
