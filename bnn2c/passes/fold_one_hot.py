"""Look up what a dense layer makes of a one-hot vector.

A tensor whose row depends only on which of a few integers an id equals (OneHot, or Equal with 0, 1, …) has few
different rows, and so has what dense layers and elementwise functions make of it: `f(one_hot(ids)) = table[row(ids)]`,
with a last row for all other ids. Exact: a sum with one term that is not 0.

Done behind a linear layer, where the table is hardly larger than the weights that it replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from bnn2c.analysis.steps import Array, same_for_all
from bnn2c.expr import Apply, Arg, Const, Expr, apply, const
from bnn2c.ir import Graph, Node, origins
from bnn2c.lowering.levels import MAX_LEVELS
from bnn2c.lowering.weights import as_integers
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.embedding import Embedding
from bnn2c.ops.map import Map
from bnn2c.passes.cleanup import drop_dead
from bnn2c.passes.fold_tables import of_rows

SLACK = 1.25
MOST_ELEMENTS = 1 << 24  # and from there on float32 does not hold every id
INTEGERS = ("i32", "i16", "i8", "u8")


@dataclass(frozen=True)
class _Rows:
    """A value [H, W, C] whose rows depend on ids.

    Attributes:
        ids: the value [H, W, 1] that says which.
        points: the integers with which it is compared; all others have one row.
        at: (first, last) id -> their rows, and that of an id with which none is compared [last - first + 2, C].
        nodes: what computes the rows.
        saved: bytes of the weights among them; 0 in front of a linear layer.
    """

    ids: str
    points: frozenset[int]
    at: Callable[[tuple[int, int]], Array]
    nodes: tuple[Node, ...]
    saved: int = 0


def fold_one_hot(graph: Graph) -> Graph:
    """Replace the layers by tables, from the inputs to the outputs."""
    known: dict[str, _Rows] = {}
    nodes: list[Node] = []
    types = dict(graph.types)
    for node in graph.nodes:
        rows = _compared(graph, node) or _mapped(graph, node, known) or _summed(graph, node, known)
        made = None if rows is None or not rows.saved else _looked_up(graph, node, rows)
        if rows is not None:
            known[node.output] = rows
        if made is not None:
            types[made[0].output] = replace(types[made[0].inputs[0]], storage="i32")
        nodes += made or [node]
    return drop_dead(replace(graph, nodes=tuple(nodes), types=types))


def _compared(graph: Graph, node: Node) -> _Rows | None:
    """A map that does nothing with integers but compare them with others."""
    if not isinstance(node.op, Map) or len(node.inputs) != 1 or not same_for_all(node.op.expr, node.op.shape):
        return None
    kind = graph.types[node.inputs[0]]
    points = set(_points(node.op.expr))
    whole = frozenset(int(p) for p in points if p is not None and np.isfinite(p) and p == int(p))
    if kind.storage not in INTEGERS or kind.shape != (*node.op.shape[:2], 1) or None in points:
        return None
    if not whole or max(map(abs, whole)) >= MOST_ELEMENTS:
        return None
    op = node.op
    return _Rows(node.inputs[0], whole, lambda ends: of_rows(op, np.arange(ends[0], ends[1] + 2)[:, None]), (node,))


def _points(expr: Expr) -> Iterator[float | None]:
    """Constants that the argument is compared with for equality; None where it is used otherwise."""
    if isinstance(expr, Arg):
        yield None
    if not isinstance(expr, Apply):
        return
    constants = [a for a in expr.args if isinstance(a, Const)]
    if expr.fn == "eq" and len(constants) == 1 and any(isinstance(a, Arg) for a in expr.args):
        yield from constants[0].value.ravel().tolist()
        return
    for inner in expr.args:
        yield from _points(inner)


def _mapped(graph: Graph, node: Node, known: dict[str, _Rows]) -> _Rows | None:
    """A map of rows for the same ids."""
    parts = [known[name] for name in node.inputs if name in known]
    op = node.op
    if not isinstance(op, Map) or not parts or len(parts) < len(node.inputs) or len({p.ids for p in parts}) > 1:
        return None
    if not same_for_all(op.expr, op.shape) or any(graph.types[name].shape[:2] != op.shape[:2] for name in node.inputs):
        return None
    points = frozenset[int]().union(*(p.points for p in parts))
    nodes = (*(one for p in parts for one in p.nodes), node)
    saved = max(p.saved for p in parts)
    return _Rows(parts[0].ids, points, lambda ends: of_rows(op, *(p.at(ends) for p in parts)), nodes, saved)


def _summed(graph: Graph, node: Node, known: dict[str, _Rows]) -> _Rows | None:
    """A dense layer of every row."""
    rows = known.get(node.inputs[0]) if node.inputs else None
    op = node.op
    if rows is None or not isinstance(op, Conv2d) or op.weights.shape[1:3] != (1, 1) or op.groups > 1:
        return None
    shape = graph.types[node.inputs[0]].shape
    if op.window.output(*shape[:2]) != shape[:2] or any(op.window.pads) or len(rows.points) * shape[2] > MOST_ELEMENTS:
        return None
    saved = rows.saved + int(op.weights.size * (1 / 8 if as_integers(op.weights) is not None else 4))

    @lru_cache(maxsize=1)
    def sums(ends: tuple[int, int]) -> Array:
        found: Array = op.reference(rows.at(ends)[None])[0]
        return found

    return replace(rows, at=sums, nodes=(*rows.nodes, node), saved=saved)


def _looked_up(graph: Graph, node: Node, rows: _Rows) -> tuple[Node, Node] | None:
    """The number of the row, and the row; None where the table would be too large."""
    first, last = min(rows.points), max(rows.points)
    if graph.types[node.output].shape[0] > 1 or last - first > 2 * len(rows.points):
        return None
    table, place = _from_the_end(rows.at((first, last)).astype(np.float32), first, last)
    values = len(np.unique(table))
    few = values <= MAX_LEVELS
    bits = max(1, (values - 1).bit_length()) if few else 32
    if table.size * bits / 8 > SLACK * rows.saved or not (few or isinstance(node.op, Conv2d)):
        return None
    inside = apply("and", apply("ge", Arg(0), const(first)), apply("le", Arg(0), const(last)))
    chosen = Map(apply("where", inside, place, const(len(table) - 1)), graph.types[rows.ids].shape, "i32")
    origin, name = origins(rows.nodes), f"{node.output}<row"
    why = (*node.why, f"looked up: one of {len(table)} rows, by an id")
    return Node(name, chosen, (rows.ids,), origin), Node(node.output, Embedding(table), (name,), origin, why)


def _from_the_end(table: Array, first: int, last: int) -> tuple[Array, Expr]:
    """The table and the number of an id's row in it; ids that count from the end have no rows of their own."""
    count = last + 1
    if first != -count or not np.array_equal(table[:count], table[count:-1]):
        return table, apply("sub", Arg(0), const(first))
    return table[count:], apply("where", apply("lt", Arg(0), const(0)), apply("add", Arg(0), const(count)), Arg(0))
