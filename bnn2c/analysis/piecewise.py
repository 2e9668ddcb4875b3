"""Step functions of a real-valued root, proved by piecewise analysis.

The float32 line is a range of integer keys (ordered like the numbers). Every sub-expression is described on a list of
key ranges by a polynomial of low degree (exact algebra: `sign(x) - x + x` is `sign(x)`) or as monotone. Where a
comparison or a rounding switches inside a range on which its argument is monotone, the switch is found by bisection
over the float32 numbers with the reference's own float32 chain, so the threshold is the one the reference applies.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from bnn2c.analysis.pieces import (
    HIGHEST,
    LOWEST,
    NotAStepFunction,
    Piece,
    algebra,
    float_of,
    floats_of,
    key_of,
    last_of,
    merge,
    refine,
)
from bnn2c.analysis.steps import MAX_STEPS, Array, Steps, classes_of, compact, constants
from bnn2c.expr import Apply, Arg, Const, Expr, evaluate
from bnn2c.expr.functions import FUNCTIONS
from bnn2c.expr.tree import fold, remap_consts

MAX_PIECES = 200
COMPARISONS = {"ge", "gt", "le", "lt", "eq"}
EQUALITIES = {"eq", "not", "bool"}
FROM_ZERO = {"sqrt", "log"}


class Analysis:
    """Piecewise description of every node of one scalar expression."""

    def __init__(self, expr: Expr) -> None:
        self.expr = expr

    def at(self, node: Expr, key: int) -> float:
        """The float32 value of a sub-expression at one float32 argument."""
        return float(evaluate(node, [float_of(key).reshape(1, 1, 1)]).reshape(-1)[0])

    def along(self, node: Expr, keys: Array) -> Array:
        """Its float32 values at many arguments, [shape of `keys`]."""
        return np.broadcast_to(evaluate(node, [floats_of(keys).reshape(1, 1, -1)]), (1, 1, keys.size)).reshape(-1)

    def equals(self, node: Expr, value: float, keys: Array) -> Array:
        """Where a sub-expression has a value, bool [shape of `keys`]."""
        return np.asarray(self.along(node, keys) == value)

    def run(self) -> list[Piece]:
        """Pieces of the whole expression, all constant."""
        found: list[Piece] = []
        for piece in fold(self.expr, self.leaf, self.node):
            found.extend([piece] if piece.constant else self.stairs(self.expr, piece))
            if len(found) > MAX_PIECES or (found[-1].poly and np.isnan(found[-1].poly[0])):
                raise NotAStepFunction
        return found

    def leaf(self, e: Arg | Const) -> list[Piece]:
        """Arguments and constants."""
        if isinstance(e, Arg):
            return [Piece(LOWEST, HIGHEST, (0.0, 1.0))]
        return [Piece(LOWEST, HIGHEST, (float(e.value.reshape(-1)[0]),))]

    def node(self, e: Apply, args: list[list[Piece]]) -> list[Piece]:
        """One application on the common refinement of its arguments' pieces."""
        found: list[Piece] = []
        for low, high, parts in refine(args):
            found.extend(self.piece(e, low, high, parts))
            if len(found) > MAX_PIECES:
                raise NotAStepFunction
        return merge(found)

    def piece(self, e: Apply, low: int, high: int, parts: list[Piece]) -> list[Piece]:
        """The function on one range where every argument is one piece."""
        if all(p.constant for p in parts):
            values = [np.float32(p.poly[0]) for p in parts if p.poly]
            exact = {"add", "sub", "mul", "neg"}
            if e.fn in exact:
                return [Piece(low, high, algebra(e.fn, [p.poly for p in parts if p.poly]))]
            return [Piece(low, high, (float(FUNCTIONS[e.fn].numpy(*(np.asarray(v) for v in values), *e.params)),))]
        if e.fn in ("add", "sub", "mul", "neg", "div"):
            return [self.arithmetic(e.fn, low, high, parts)]
        if e.fn == "where":
            return self.select(low, high, parts)
        if e.fn in ("relu", "abs", "max", "min"):
            return self.corner(e, low, high, parts)
        if e.fn in COMPARISONS or e.fn in ("sign", "not", "bool"):
            return self.switches(e, low, high, parts)
        if e.fn in FROM_ZERO:
            return self.from_zero(e, low, high, parts)
        if FUNCTIONS[e.fn].monotone and parts[0].direction in (1, -1):
            return [Piece(low, high, None, FUNCTIONS[e.fn].monotone * parts[0].direction)]
        raise NotAStepFunction

    def arithmetic(self, fn: str, low: int, high: int, parts: list[Piece]) -> Piece:
        """Polynomials combine by algebra; monotone pieces by their directions."""
        if fn == "div":
            divisor = parts[1]
            if not divisor.constant or not divisor.poly or divisor.poly[0] == 0:
                raise NotAStepFunction
            return self.arithmetic("mul", low, high, [parts[0], Piece(low, high, (1.0 / divisor.poly[0],))])
        if all(p.poly is not None for p in parts):
            return Piece(low, high, algebra(fn, [p.poly for p in parts if p.poly]))
        return Piece(low, high, None, self.joint_direction(fn, parts))

    def joint_direction(self, fn: str, parts: list[Piece]) -> int:
        """Direction of a sum or product in which some part is only known to be monotone."""
        ways = [p.direction for p in parts]
        if fn == "neg":
            ways = [-w for w in ways]
        elif fn == "sub":
            ways[1] = -ways[1]
        elif fn == "mul":
            factor = next((p for p in parts if p.constant), None)
            if factor is None or factor.poly is None or not np.isfinite(factor.poly[0]):
                raise NotAStepFunction
            ways = [w * int(np.sign(factor.poly[0])) for w in ways]
        moving = {w for w in ways if w}
        if len(moving) != 1 or 2 in moving:
            raise NotAStepFunction
        return moving.pop()

    def select(self, low: int, high: int, parts: list[Piece]) -> list[Piece]:
        """`where` with a condition that is constant on the range."""
        condition = parts[0]
        if not condition.constant or not condition.poly:
            raise NotAStepFunction
        chosen = parts[1] if condition.poly[0] else parts[2]
        return [Piece(low, high, chosen.poly, chosen.slope)]

    def corner(self, e: Apply, low: int, high: int, parts: list[Piece]) -> list[Piece]:
        """Relu, abs, max and min: compare, then choose."""
        zero = Const(np.zeros((1, 1, 1), np.float32))
        other = e.args[1] if len(e.args) > 1 else zero
        second = parts[1] if len(parts) > 1 else Piece(low, high, (0.0,))
        test = Apply("ge", (e.args[0], other))
        found = []
        for part in self.switches(test, low, high, [parts[0], second]):
            first = bool(part.poly and part.poly[0]) != (e.fn == "min")
            chosen = parts[0] if first else second
            if e.fn == "abs" and not first:
                chosen = self.arithmetic("neg", low, high, [parts[0]])
            found.append(Piece(part.low, part.high, chosen.poly, chosen.slope))
        return found

    def from_zero(self, e: Apply, low: int, high: int, parts: list[Piece]) -> list[Piece]:
        """A root or a logarithm: monotone where its argument is not negative, not a number elsewhere."""
        test = Apply("ge", (e.args[0], Const(np.zeros((1, 1, 1), np.float32))))
        found = []
        for part in self.switches(test, low, high, [parts[0], Piece(low, high, (0.0,))]):
            defined = bool(part.poly and part.poly[0])
            if defined and parts[0].direction not in (1, -1):
                raise NotAStepFunction
            shape = (None, parts[0].direction) if defined else ((float("nan"),), 0)
            found.append(Piece(part.low, part.high, *shape))
        return found

    def switches(self, e: Apply, low: int, high: int, parts: list[Piece]) -> list[Piece]:
        """A test of a monotone argument: its value changes at most where a search finds it."""
        if e.fn in EQUALITIES:
            return self.equal(e, low, high, parts)
        found: list[Piece] = []
        for start, stop in self.monotone_ranges(low, high, parts):
            first, last = self.numbers(e, start, stop)
            steps = self.stairs(e, Piece(first, last, None, 1))
            steps[0] = replace(steps[0], low=start)
            steps[-1] = replace(steps[-1], high=stop)
            found.extend(steps)
        return found

    def numbers(self, e: Apply, low: int, high: int) -> tuple[int, int]:
        """The part of a range on which the operands are numbers: `x / 0.1 * 0` is none where x / 0.1 overflows.

        What the test says beyond it has no meaning, and must not hide what it says near 0.
        """
        near = min(max(key_of(0.0), low), high)
        if self.undefined(e, np.array([near]))[0]:
            return low, high
        if self.undefined(e, np.array([low]))[0]:
            low = last_of(low, near, partial(self.undefined, e)) + 1
        if self.undefined(e, np.array([high]))[0]:
            high = last_of(near, high, lambda keys: ~self.undefined(e, keys))
        return low, high

    def undefined(self, e: Apply, keys: Array) -> Array:
        """Where an operand is NaN, bool [shape of `keys`]."""
        return np.asarray(np.any([np.isnan(self.along(operand, keys)) for operand in e.args], axis=0))

    def equal(self, e: Apply, low: int, high: int, parts: list[Piece]) -> list[Piece]:
        """`a == b` may hold at a single number: it changes only where `a >= b` or `a > b` does."""
        second = parts[1] if len(parts) > 1 else Piece(low, high, (0.0,))
        operands = (e.args[0], e.args[1] if len(e.args) > 1 else Const(np.zeros((1, 1, 1), np.float32)))
        tests = (Apply(fn, operands) for fn in ("ge", "gt"))
        starts = sorted({p.low for test in tests for p in self.switches(test, low, high, [parts[0], second])})
        ends = [*(start - 1 for start in starts[1:]), high]
        return [Piece(start, end, (self.at(e, start),)) for start, end in zip(starts, ends, strict=True)]

    def monotone_ranges(self, low: int, high: int, parts: list[Piece]) -> list[tuple[int, int]]:
        """Ranges on which the (difference of the) arguments is monotone; a parabola is cut at its vertex."""
        if len(parts) == 2:
            if all(p.poly is not None for p in parts):
                joint = Piece(low, high, algebra("sub", [p.poly for p in parts if p.poly]))
            else:
                joint = Piece(low, high, None, self.joint_direction("sub", parts))
        else:
            joint = parts[0]
        if joint.direction != 2:
            return [(low, high)]
        if joint.poly is None or len(joint.poly) != 3:
            raise NotAStepFunction
        turn = -joint.poly[1] / (2 * joint.poly[2])
        if not np.isfinite(turn):
            raise NotAStepFunction
        vertex = key_of(turn)
        return [(low, high)] if not low <= vertex < high else [(low, vertex), (vertex + 1, high)]

    def stairs(self, node: Expr, piece: Piece) -> list[Piece]:
        """Constant pieces of a monotone range, found by repeated search."""
        if piece.direction not in (1, -1):
            raise NotAStepFunction
        found: list[Piece] = []
        low = piece.low
        last = self.at(node, piece.high)
        while True:
            value = self.at(node, low)
            if value == last:
                return [*found, Piece(low, piece.high, (value,))]
            if len(found) > MAX_STEPS or not np.isfinite(value):
                raise NotAStepFunction
            stop = last_of(low, piece.high, partial(self.equals, node, value))
            found.append(Piece(low, stop, (value,)))
            low = stop + 1


def real_steps(expr: Expr, shape: tuple[int, int, int]) -> Steps | None:
    """The expression as a step function of a float32 root, or None when that cannot be shown."""
    classes = classes_of(expr, shape)
    small = classes.restrict(expr)
    grid = classes.shape
    arrays = [np.broadcast_to(a, grid).reshape(-1) for a in constants(small)]
    keys, inverse = _distinct(arrays, int(np.prod(grid)))
    try:
        found = [_scalar_steps(small, grid, position) for position in keys]
    except NotAStepFunction:
        return None
    width = max(len(b) for b, _ in found)
    breaks = np.asarray([[*b, *[np.inf] * (width - len(b))] for b, _ in found], np.float64).reshape(len(found), width)
    values = np.asarray([[*v, *[v[-1]] * (width + 1 - len(v))] for _, v in found], np.float32)
    table = compact(breaks[inverse].reshape(*grid, width), values[inverse].reshape(*grid, width + 1))
    return Steps(*table, classes, len(keys))


def _distinct(arrays: list[Array], count: int) -> tuple[list[int], Array]:
    """Positions with distinct constants, and for every position the number of its distinct one."""
    if not arrays:
        return [0], np.zeros(count, np.int64)
    matrix = np.stack([a.astype(np.float64) for a in arrays], axis=1)
    _, first, inverse = np.unique(matrix, axis=0, return_index=True, return_inverse=True)
    return [int(i) for i in first], np.asarray(inverse).reshape(-1)


def _scalar_steps(expr: Expr, grid: tuple[int, int, int], position: int) -> tuple[list[float], list[float]]:
    """Breaks and values at one position of the class grid."""
    y, x, c = np.unravel_index(position, grid)

    def pick(value: Array) -> Array:
        shape = value.shape
        picked: Array = value[y if shape[0] > 1 else 0, x if shape[1] > 1 else 0, c if shape[2] > 1 else 0].reshape(
            1, 1, 1
        )
        return picked

    pieces = Analysis(remap_consts(expr, pick)).run()
    breaks, values = [], [float(pieces[0].poly[0])] if pieces[0].poly else [0.0]
    for piece in pieces[1:]:
        value = float(np.float32(piece.poly[0])) if piece.poly else 0.0
        if value != values[-1]:
            breaks.append(float(float_of(piece.low)))
            values.append(value)
    return breaks, values
