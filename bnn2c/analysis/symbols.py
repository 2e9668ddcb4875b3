"""Equal results of differently written operations, proved element by element.

Every element of a value gets a number; equal numbers mean equal results for every input. Elementwise functions are
taken apart, copies are followed, other operations are equal when they are the same and read equal elements. What
depends on constants alone is computed; constants are equal within float32 rounding of the tensor that they are part of.
What depends on one binary sum is computed for all its numbers; its codes are equal where no number is near a threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bnn2c.analysis.repetition import fingerprint
from bnn2c.expr.functions import FUNCTIONS
from bnn2c.expr.tree import Apply, Arg, Expr, evaluate, fold
from bnn2c.ir import Graph, Node
from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.concat import Concat
from bnn2c.ops.map import Map
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.rearrange import Rearrange

Ids: TypeAlias = npt.NDArray[np.int64]
Reals: TypeAlias = npt.NDArray[np.float64]
COMMUTATIVE = frozenset(["add", "mul", "max", "min"])
ROUNDING = 1e-5
"""Relative to the largest constant of a tensor: what float32 sums of some hundred terms in other orders differ by."""


class Symbols:
    """Numbers of the elements of a graph's values."""

    def __init__(self, graph: Graph) -> None:
        self._nodes: Mapping[str, Node] = {node.output: node for node in graph.nodes}
        self._graph = graph
        self._values: dict[str, Ids] = {}
        self._terms: dict[object, int] = {}
        self._known: dict[int, tuple[float, float]] = {}
        self._made: list[object] = []
        self._equal: dict[tuple[int, int], bool] = {}
        self._largest: dict[int, int] = {}
        self._sums: dict[int, tuple[int, Reals] | None] = {}

    def of(self, name: str) -> Ids:
        """Numbers of a value's elements, in its physical shape."""
        pending = [name]
        while pending:
            top = pending[-1]
            node = self._nodes.get(top)
            missing = [n for n in node.inputs if n not in self._values] if node and top not in self._values else []
            if missing:
                pending += missing
                continue
            if top not in self._values:
                self._values[top] = self._outcome(node) if node else self._opaque(top, b"", [])
            pending.pop()
        return self._values[name]

    def _outcome(self, node: Node) -> Ids:
        given = [self._values[name] for name in node.inputs]
        if isinstance(node.op, Rearrange):
            filled = np.append(given[0].ravel(), self._constants(np.array([node.op.fill])))
            return np.asarray(filled[node.op.index])
        if isinstance(node.op, Concat):
            return np.concatenate(given, node.op.axis)
        if isinstance(node.op, Map) and node.op.storage == "f32":
            return np.broadcast_to(self._expression(node.op.expr, given), node.op.shape)
        if all(self._all_known(ids) for ids in given):
            kinds = [NUMPY_TYPES[kind.storage] for kind in self._graph.input_types(node)]
            stored = [self._numbers(ids).astype(kind) for ids, kind in zip(given, kinds, strict=True)]
            return self._constants(node.op.reference(*stored))
        real = bool(node.inputs) and self._graph.types[node.inputs[0]].storage == "f32"
        codes = self._codes(node.op, given[0], real) if isinstance(node.op, Quantize) else None
        if codes is not None:
            return codes
        found = self._opaque(node.output, fingerprint(node.op), given)
        if isinstance(node.op, BinaryConv2d):
            self._largest |= dict.fromkeys(found.ravel().tolist(), node.op.largest)
        return found

    def _codes(self, op: Quantize, ids: Ids, real: bool) -> Ids | None:
        """Codes of elements that a binary sum determines: functions are equal when the codes of all sums are.

        Those of other real numbers are equal when the numbers are, but for rounding.
        """
        rows = (a[op.row_class][:, op.col_class].reshape(ids.size, -1) for a in (op.breaks, op.codes))
        found = []
        for number, breaks, codes in zip(ids.ravel().tolist(), *rows, strict=True):
            base, values = self._over_sums(number) or (-1, np.zeros(0))
            if base < 0 and real:
                found.append(self._term(("codes", (breaks.tobytes(), codes.tobytes()), number)))
                continue
            near = np.abs(values[:, None] - breaks) <= ROUNDING * np.abs(values).max(initial=1.0)
            if base < 0 or (number != base and near.any()):
                return None
            table = codes[(values[:, None] >= breaks).sum(axis=1)]
            found.append(self._term(((b"codes", base, table.tobytes()), 0)))
        return np.array(found, np.int64).reshape(ids.shape)

    def _over_sums(self, number: int) -> tuple[int, Reals] | None:
        """The only unknown of an element, where it is a binary sum, and the element's numbers for sums 0, 1, ..."""
        if number not in self._sums:
            self._sums[number] = self._evaluated(number)
        return self._sums[number]

    def _evaluated(self, number: int) -> tuple[int, Reals] | None:
        if number in self._largest:
            return number, np.arange(self._largest[number] + 1.0)
        made = self._made[number]
        if not (isinstance(made, tuple) and made[0] in FUNCTIONS and len(made) > 2):
            return None
        parts = {i: self._over_sums(i) or (-1, np.zeros(1)) for i in made[2:] if i not in self._known}
        bases = {base for base, _ in parts.values()}
        if len(bases) != 1 or -1 in bases:
            return None
        values = [parts[i][1] if i in parts else np.asarray(self._known[i][0]) for i in made[2:]]
        return bases.pop(), np.asarray(FUNCTIONS[made[0]].numpy(*values, *made[1]), np.float64)

    def _opaque(self, name: str, kind: bytes, given: list[Ids]) -> Ids:
        """Elements of an operation that is not looked into; those of a graph input by its name."""
        shape = self._graph.types[name].shape
        key = (kind, *(ids.tobytes() for ids in given)) if kind else name
        return np.array([self._term((key, k)) for k in range(int(np.prod(shape)))]).reshape(shape)

    def _term(self, key: object) -> int:
        if key not in self._terms:
            self._made.append(key)
        return self._terms.setdefault(key, len(self._terms))

    def _all_known(self, ids: Ids) -> bool:
        return all(i in self._known for i in np.unique(ids).tolist())

    def _numbers(self, ids: Ids) -> npt.NDArray[np.float32]:
        return np.array([self._known[i][0] for i in ids.ravel().tolist()], np.float32).reshape(ids.shape)

    def _constants(self, array: npt.NDArray[np.generic]) -> Ids:
        """One number per constant, with the size of the numbers that it stands among."""
        values = np.asarray(array, np.float64)
        size = float(np.abs(values).max(initial=0.0))
        found = np.array([self._term(value) for value in values.ravel().tolist()], np.int64)
        for number, value in zip(found.tolist(), values.ravel().tolist(), strict=True):
            self._known.setdefault(number, (value, size))
        return found.reshape(values.shape)

    def _expression(self, expr: Expr, given: list[Ids]) -> Ids:
        return fold(
            expr,
            lambda e: given[e.index] if isinstance(e, Arg) else self._constants(e.value),
            lambda e, args: self._applied(e, [np.asarray(a) for a in np.broadcast_arrays(*args)]),
        )

    def _applied(self, e: Apply, args: list[Ids]) -> Ids:
        """A function of elements, computed where all are constants."""
        if all(self._all_known(a) for a in args):
            roots = tuple(Arg(k) for k in range(len(args)))
            return self._constants(evaluate(Apply(e.fn, roots, e.params), [self._numbers(a) for a in args]))
        rows = np.stack([a.ravel() for a in args], 1)
        kinds, inverse = np.unique(rows, axis=0, return_inverse=True)
        terms = np.array([self._function(e, row) for row in kinds.tolist()])
        return np.asarray(terms[inverse.ravel()].reshape(args[0].shape))

    def _function(self, e: Apply, row: list[int]) -> int:
        if all(i in self._known for i in row):
            values = [np.float32(self._known[i][0]) for i in row]
            return int(self._constants(np.reshape(FUNCTIONS[e.fn].numpy(*map(np.asarray, values), *e.params), 1))[0])
        return self._term((e.fn, e.params, *row))

    def same(self, left: Ids, right: Ids) -> bool:
        """Whether all elements are equal, constants but for rounding."""
        pairs = np.unique(np.stack([left.ravel(), right.ravel()], 1), axis=0).tolist()
        return left.shape == right.shape and all(self._alike(a, b) for a, b in pairs)

    def _without_zero(self, number: int) -> int:
        """The other term of a sum or difference with a constant that is zero but for rounding."""
        made = self._made[number]
        while isinstance(made, tuple) and made[0] in ("add", "sub"):
            zeros = [i in self._known and abs(self._known[i][0]) <= ROUNDING * self._known[i][1] for i in made[2:]]
            if not zeros[1] and not (made[0] == "add" and zeros[0]):
                break
            number = made[2 if zeros[1] else 3]
            made = self._made[number]
        return number

    def _alike(self, a: int, b: int) -> bool:
        """Two elements; expressions are as deep as the operations of one step."""
        a, b = self._without_zero(a), self._without_zero(b)
        if a == b or (a, b) in self._equal:
            return a == b or self._equal[a, b]
        left, right = self._made[a], self._made[b]
        if a in self._known and b in self._known:
            (x, size), (y, other) = self._known[a], self._known[b]
            found = abs(x - y) <= ROUNDING * max(size, other)
        elif isinstance(left, tuple) and isinstance(right, tuple) and isinstance(left[0], str):
            orders = [right[2:], right[:1:-1]] if left[0] in COMMUTATIVE else [right[2:]]
            found = left[:2] == right[:2] and any(
                all(self._alike(c, d) for c, d in zip(left[2:], order, strict=True)) for order in orders
            )
            found = found or self._alike_over_sums(a, b)
        else:
            found = self._alike_over_sums(a, b)
        self._equal[a, b] = found
        return found

    def _alike_over_sums(self, a: int, b: int) -> bool:
        """Two functions of one binary sum, however they are spelled, equal but for rounding for all its numbers."""
        (base, left), (other, right) = (self._over_sums(k) or (-1, np.zeros(1)) for k in (a, b))
        size = max(np.abs(left).max(), np.abs(right).max())
        return base == other >= 0 and bool((np.abs(left - right) <= ROUNDING * size).all())
