"""Tensors that are affine images of 8-bit integers, directly or through a table of 256 entries."""

from __future__ import annotations

import numpy as np

from bnn2c.analysis.steps import Array, constants
from bnn2c.expr import evaluate
from bnn2c.ir import Node
from bnn2c.lowering.state import Lazy, State
from bnn2c.ops.byte_table import ByteTable

TOLERANCE = 1e-6
Affine = tuple[float, float]


def integer_input(state: State, node: Node, lazy: Lazy) -> tuple[str, Affine] | None:
    """An 8-bit value q and (scale, offset) with `real = scale * q + offset` up to float32 rounding, or None.

    A chain on an 8-bit input that is not affine (a quantiser, say) is affine in its own level number when its levels
    are equally spaced: then a table maps one byte to another.
    """
    if lazy.root in state.pools or state.builder.types[lazy.root].storage not in ("u8", "i8"):
        return None
    if constants(lazy.expr):  # a function of its own for every channel or position
        return None
    domain = state.domains[lazy.root]
    values = np.asarray(evaluate(lazy.expr, [domain.astype(np.float64)], np.float64)).reshape(-1)
    if values.size != len(domain) or not np.isfinite(values).all():
        return None
    straight = _line(domain, values)
    if straight is not None:
        return lazy.root, straight
    return _through_table(state, node, lazy, values)


def _line(domain: Array, values: Array) -> Affine | None:
    scale = (values[-1] - values[0]) / (domain[-1] - domain[0])
    offset = values[0] - scale * domain[0]
    straight = np.abs(values - (scale * domain + offset)).max() <= TOLERANCE * np.abs(values).max()
    return (float(scale), float(offset)) if straight and scale != 0 else None


def _through_table(state: State, node: Node, lazy: Lazy, values: Array) -> tuple[str, Affine] | None:
    """Level numbers as bytes, when the levels are multiples of their smallest distance."""
    levels = np.unique(values)
    if state.builder.types[lazy.root].storage != "u8" or len(levels) < 2:
        return None
    unit = float(np.diff(levels).min())
    numbers = (values - levels[0]) / unit
    whole = np.rint(numbers)
    if whole.max() > 255 or np.abs(numbers - whole).max() > 1e-3:
        return None
    unit = float((levels[-1] - levels[0]) / whole.max())
    if np.abs(levels[0] + unit * whole - values).max() > TOLERANCE * np.abs(values).max():
        return None
    key = f"bytes {lazy.root} {whole.tobytes().hex()}"
    table = ByteTable(whole.astype(np.uint8))
    name = state.once(key, lambda: state.builder.emit(table, [lazy.root], f"{node.output}_bytes", node.origin))
    return name, (unit, float(levels[0]))
