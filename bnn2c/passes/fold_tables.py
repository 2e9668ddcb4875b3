"""Look up results instead of operands: an elementwise operation of rows of a table is a table.

`map(table[ids])` is `map(table)[ids]` where the map reads nothing but rows for the same `ids` and has the same
constants for all of them: it computes each element from that element alone. Exact: the same float32 operations, at
compile time. A real embedding that a network binarises becomes a table of signs, a bit per element.

Done where the results take few values (such a table is packed), or where the rows are real numbers already that
nothing else reads, so that neither a second table of real numbers appears nor one instead of a packed table.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.analysis.steps import Array, same_for_all
from bnn2c.ir import Graph, Node, origins
from bnn2c.lowering.levels import MAX_LEVELS
from bnn2c.ops.embedding import Embedding
from bnn2c.ops.map import Map
from bnn2c.passes.cleanup import drop_dead


def fold_tables(graph: Graph) -> Graph:
    """Fold maps into tables, from the inputs to the outputs."""
    made: dict[str, Node] = {}
    tables: dict[str, Node] = {}
    readers = graph.consumers()
    for node in graph.nodes:
        made[node.output] = node
        known = [tables[name] for name in node.inputs if name in tables]
        folded = node if isinstance(node.op, Embedding) else None
        if known and len(known) == len(node.inputs):
            folded = _folded(node, known)
        if folded is not None and isinstance(folded.op, Embedding):
            tables[node.output] = folded
            alone = all(
                made[name] is tables[name] and len(readers[name]) == 1 for name in node.inputs if name in tables
            )
            if _few(folded) or (alone and not all(map(_few, known))):
                made[node.output] = folded
    return drop_dead(replace(graph, nodes=tuple(made.values())))


def _few(node: Node) -> bool:
    return isinstance(node.op, Embedding) and len(np.unique(node.op.table)) <= MAX_LEVELS


def _folded(node: Node, tables: list[Node]) -> Node | None:
    """The table of results; None when the operation is no map of rows to real numbers (an output may be integers)."""
    ids = {table.inputs for table in tables}
    if (
        not isinstance(node.op, Map)
        or node.op.storage != "f32"
        or len(ids) != 1
        or not same_for_all(node.op.expr, node.op.shape)
    ):
        return None
    rows = [table.op.table for table in tables if isinstance(table.op, Embedding)]
    if any(found.shape != rows[0].shape for found in rows) or node.op.shape[2] != rows[0].shape[1]:
        return None
    table = of_rows(node.op, *rows).astype(np.float32)
    why = (*node.why, "looked up: its operands are rows of tables")
    return Node(node.output, Embedding(table), ids.pop(), origins((*tables, node)), why)


def of_rows(op: Map, *operands: Array) -> Array:
    """What a map makes of rows [n, C or 1], which are the channels of n pixels."""
    pixels = replace(op, shape=(1, len(operands[0]), op.shape[2]))
    found: Array = pixels.reference(*(rows[None] for rows in operands))[0]
    return found
