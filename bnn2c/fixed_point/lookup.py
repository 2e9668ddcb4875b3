"""A whole elementwise operation of one 8-bit operand as a table of 256 entries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.expr import evaluate
from bnn2c.fixed_point.formats import Format, Number
from bnn2c.fixed_point.program import Program, Step
from bnn2c.ir.types import TensorType
from bnn2c.ops.map import Map

MAX_STEPS = 6
COSTLY = {"table", "quotient", "product"}


def as_lookup(
    program: Program, op: Map, kinds: Sequence[TensorType], numbers: Sequence[Number], out: Format
) -> Program | None:
    """The table, when there is one operand of 8 bits, no constant differs between channels, and the program costs more.

    The entries are the reference in float64, rounded once: more exact than the program.
    """
    costly = len(program.steps) > MAX_STEPS or any(s.fn in COSTLY for s in program.steps)
    if len(kinds) != 1 or kinds[0].storage not in ("u8", "i8") or not costly or kinds[0].shape != op.shape:
        return None
    if program.classes.shape[:2] != (1, 1):
        return None
    first = 0 if kinds[0].storage == "u8" else -128
    places = np.arange(first, first + 256, dtype=np.float64).reshape(1, 256, 1) * numbers[0].scale
    real = np.asarray(evaluate(op.expr, [places], np.float64), np.float64)
    if real.shape != (1, 256, 1) or not np.isfinite(real).all():
        return None
    table = np.clip(np.rint(real.reshape(-1) / out.scale), out.low, out.high).astype(np.int64)
    return Program((Step("load", (), (0,)), Step("lookup", (0,), (-first,), (table,))), program.classes)
