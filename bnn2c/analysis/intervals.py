"""Between which two numbers all elements of a tensor lie: interval arithmetic, one rule per function and operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.expr import Apply, Arg, Expr
from bnn2c.expr.functions import BOOLEAN, FUNCTIONS
from bnn2c.expr.tree import fold
from bnn2c.ir import Op
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.concat import Concat
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.embedding import Embedding
from bnn2c.ops.map import Map
from bnn2c.ops.mat_mul import MatMul
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.rearrange import Rearrange
from bnn2c.ops.reduce import Reduce
from bnn2c.ops.softmax import Softmax

__all__ = ["ANY", "Interval", "hull", "interval_of"]

Interval = tuple[float, float]
ANY: Interval = (-np.inf, np.inf)


def interval_of(op: Op, inputs: Sequence[Interval], shapes: Sequence[tuple[int, int, int]]) -> Interval:
    """The interval of an operation's result.

    Args:
        op: an operation of imported graphs; of others nothing is known.
        inputs: intervals of its operands.
        shapes: their shapes [H, W, C].
    """
    rule = _OPERATIONS.get(type(op))
    return rule(op, inputs, shapes) if rule else ANY


def hull(*numbers: float | Array) -> Interval:
    """The smallest interval that holds all numbers; any number when one of them is NaN."""
    flat = np.concatenate([np.ravel(np.asarray(n, np.float64)) for n in numbers])
    return ANY if not flat.size or np.isnan(flat).any() else (float(flat.min()), float(flat.max()))


def _expression(expr: Expr, inputs: Sequence[Interval]) -> Interval:
    return fold(expr, lambda e: inputs[e.index] if isinstance(e, Arg) else hull(e.value), _applied)


def _applied(e: Apply, args: Sequence[Interval]) -> Interval:
    """A function between the ends of its operands."""
    if e.fn in BOOLEAN:
        return 0.0, 1.0
    with np.errstate(all="ignore"):
        if e.fn in _FUNCTIONS:
            return _FUNCTIONS[e.fn](args)
        function = FUNCTIONS[e.fn]
        if function.monotone and len(args) == 1:
            return hull(function.numpy(np.array(args[0], np.float64)))
        if e.fn == "dequant":
            return hull(np.array(args[0]) * e.params[0] + e.params[1])
    return ANY


def _ends(fn: Callable[..., Array]) -> Callable[[Sequence[Interval]], Interval]:
    """A function of two operands that is monotone in each: its values at the four corners."""
    return lambda args: hull(fn(np.array(args[0])[:, None], np.array(args[1])))


def _magnitude(x: Interval) -> float:
    return max(abs(x[0]), abs(x[1]))


def _abs(args: Sequence[Interval]) -> Interval:
    low, high = args[0]
    return max(low, -high, 0.0), _magnitude(args[0])


def _idiv(args: Sequence[Interval]) -> Interval:
    """Whole numbers by whole numbers: never further from 0 than the dividend."""
    size = _magnitude(args[0])
    return (0.0 if args[0][0] >= 0 and args[1][0] >= 0 else -size), size


def _mod(args: Sequence[Interval]) -> Interval:
    """The sign of the divisor."""
    return min(0.0, args[1][0]), max(0.0, args[1][1])


def _fmod(args: Sequence[Interval]) -> Interval:
    """The sign of the dividend, and neither larger than it nor than the divisor."""
    size = min(_magnitude(args[0]), _magnitude(args[1]))
    return (0.0 if args[0][0] >= 0 else -size), (0.0 if args[0][1] <= 0 else size)


def _bitwise(args: Sequence[Interval]) -> Interval:
    """As many bits as the larger operand has, and a sign where one has a sign; -2^n needs n bits and the sign."""
    size = max(max(high, -1.0 - low) for low, high in args)
    if np.isinf(size):
        return ANY
    span = float(2.0 ** np.ceil(np.log2(size + 1)))
    return (0.0 if min(low for low, _ in args) >= 0 else -span), span - 1


def _bit_and(args: Sequence[Interval]) -> Interval:
    """No bit that an operand without a sign does not have."""
    unsigned = [high for low, high in args if low >= 0]
    return (0.0, min(unsigned)) if unsigned else _bitwise(args)


_FUNCTIONS: dict[str, Callable[[Sequence[Interval]], Interval]] = {
    "add": _ends(np.add),
    "sub": _ends(np.subtract),
    "mul": _ends(np.multiply),
    "min": _ends(np.minimum),
    "max": _ends(np.maximum),
    "abs": _abs,
    "idiv": _idiv,
    "mod": _mod,
    "fmod": _fmod,
    "bit_and": _bit_and,
    "bit_or": _bitwise,
    "bit_xor": _bitwise,
    "sin": lambda args: (-1.0, 1.0),
    "cos": lambda args: (-1.0, 1.0),
    "where": lambda args: hull(*args[1], *args[2]),
}

Shapes = Sequence[tuple[int, int, int]]


def _map(op: Map, inputs: Sequence[Interval], shapes: Shapes) -> Interval:
    return _expression(op.expr, inputs)


def _rearrange(op: Rearrange, inputs: Sequence[Interval], shapes: Shapes) -> Interval:
    return hull(*inputs[0], op.fill) if (op.index < 0).any() else inputs[0]


def _union(op: Op, inputs: Sequence[Interval], shapes: Shapes) -> Interval:
    return hull(*(end for x in inputs for end in x))


def _conv2d(op: Conv2d, inputs: Sequence[Interval], shapes: Shapes) -> Interval:
    """Positive weights at one end, negative ones at the other; taps outside read the pad value."""
    low, high = hull(*inputs[0], op.pad_value) if any(op.window.pads) else inputs[0]
    flat = op.weights.reshape(len(op.weights), -1).astype(np.float64)
    up, down = np.where(flat > 0, flat, 0.0).sum(axis=1), np.where(flat < 0, flat, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        ends = np.concatenate([up * low + down * high, up * high + down * low])
    return ANY if np.isinf([low, high]).any() else hull(ends)


def _mat_mul(op: MatMul, inputs: Sequence[Interval], shapes: Shapes) -> Interval:
    with np.errstate(invalid="ignore"):
        return hull(shapes[0][2] * np.array(_FUNCTIONS["mul"](inputs)))


def _reduce(op: Reduce, inputs: Sequence[Interval], shapes: Shapes) -> Interval:
    if op.function == "sum":
        return hull(shapes[0][1] * np.array(inputs[0]))
    if op.function == "prod":
        with np.errstate(over="ignore"):
            size = float(np.maximum(_magnitude(inputs[0]), 1.0) ** np.float64(shapes[0][1]))
        return -size, size
    return inputs[0]


_OPERATIONS: dict[type[Op], Callable[..., Interval]] = {
    Map: _map,
    Rearrange: _rearrange,
    Concat: _union,
    MaxPool: _union,
    Conv2d: _conv2d,
    MatMul: _mat_mul,
    Reduce: _reduce,
    ArgMax: lambda op, inputs, shapes: (0.0, float(shapes[0][2] - 1)),
    Embedding: lambda op, inputs, shapes: hull(op.table),
    Softmax: lambda op, inputs, shapes: (-np.inf, 0.0) if op.logarithm else (0.0, 1.0),
}
