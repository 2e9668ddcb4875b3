"""Lowering of products of two activations, and of sums: exact integers for few, equally spaced levels.

With x = unit_l * (tl - sl * q) and y = unit_r * (tr - sr * r), where t and s are integers and q and r level codes,
`sum_k x y = unit_l * unit_r * acc` with the integer `acc` of `BinaryMatMul`; and
`sum_r unit * (top - step * q) = unit * (R * top - step * sum_r q)`; a mean divides that by R.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnn2c.expr import Arg, apply, const
from bnn2c.ir import Node
from bnn2c.lowering.levels import Levels, find_levels
from bnn2c.lowering.state import Lazy, State
from bnn2c.ops.binary_mat_mul import BinaryMatMul
from bnn2c.ops.level_sum import LevelSum
from bnn2c.ops.mat_mul import MatMul
from bnn2c.ops.reduce import Reduce

MAX_TOP = 64


@dataclass(frozen=True)
class Whole:
    """Levels `unit * (top - step * code)`."""

    code: str
    unit: float
    top: int
    step: int


def lower_mat_mul(state: State, node: Node, op: MatMul) -> Lazy:
    """AND-popcount form where both operands are level codes, else real."""
    operands = []
    for name in node.inputs:
        found = whole_levels(find_levels(state, state.lazies[name], node))
        if found is None:
            return _real(state, node, op)
        operands.append(found)
    left, right = operands
    binary = BinaryMatMul(left.top, left.step, right.top, right.step)
    why = ["both operands are level codes: exact integer products by AND and popcount"]
    root = state.builder.emit(binary, [left.code, right.code], node.output, node.origin, why)
    state.domains[root] = binary.values([state.builder.types[left.code], state.builder.types[right.code]])
    scaled = apply("mul", Arg(0), const(np.full((1, 1, 1), left.unit * right.unit)))
    return Lazy(root, scaled, state.builder.types[root].shape)


def lower_reduce(state: State, node: Node, op: Reduce) -> Lazy:
    """Sums and means of level codes are integers."""
    lazy = state.lazies[node.inputs[0]]
    levels = find_levels(state, lazy, node) if op.function in ("sum", "mean") else None
    even = levels.even if levels is not None else None
    if levels is None or even is None:
        return _real(state, node, op)
    sums = LevelSum()
    why = [f"a {op.function} of level codes: an exact integer"]
    root = state.builder.emit(sums, [levels.code], node.output, node.origin, why)
    state.domains[root] = np.arange(sums.largest(state.builder.types[levels.code]) + 1)
    count = lazy.shape[1]
    base = const((even.unit * (even.tops * count)).reshape(1, 1, -1))
    total = apply("descend", Arg(0), base, const(np.full((1, 1, 1), even.unit * even.step)))
    mean = apply("div", total, const(float(count)))
    return Lazy(root, total if op.function == "sum" else mean, state.builder.types[root].shape)


def whole_levels(levels: Levels | None) -> Whole | None:
    """Levels common to all channels that are multiples of a unit; else None."""
    even = levels.even if levels is not None else None
    if levels is None or even is None or len(even.tops) > 1:
        return None
    top = float(even.tops[0])
    return Whole(levels.code, even.unit, int(top), even.step) if top == round(top) and abs(top) <= MAX_TOP else None


def _real(state: State, node: Node, op: MatMul | Reduce) -> Lazy:
    values = [state.real(state.lazies[name], node) for name in node.inputs]
    root = state.builder.emit(op, values, node.output, node.origin)
    return Lazy(root, Arg(0), state.builder.types[root].shape)
