"""Read a function of level codes from a table.

An elementwise function of one packed tensor takes as many values as there are codes, per channel at most. They are
computed here, by the same float32 operations; the device looks them up, in the same time for every code.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.analysis.steps import classes_of
from bnn2c.expr import evaluate
from bnn2c.ir import Graph, Node, TensorType
from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.ops.level_values import LevelValues
from bnn2c.ops.map import Map


def tabulate_maps(graph: Graph) -> Graph:
    """Replace every elementwise operation that reads nothing but codes, and does not depend on rows and columns."""
    return replace(graph, nodes=tuple(_tabulated(node, graph.input_types(node)) for node in graph.nodes))


def _tabulated(node: Node, inputs: list[TensorType]) -> Node:
    op = node.op
    if not isinstance(op, Map) or [(i.storage, i.layout, i.shape) for i in inputs] != [("bits", "pixels", op.shape)]:
        return node
    classes = classes_of(op.expr, op.shape)
    if classes.shape[:2] != (1, 1):
        return node
    codes = np.arange(1 << inputs[0].planes, dtype=np.float32).reshape(-1, 1, 1)
    values = np.asarray(evaluate(classes.restrict(op.expr), [codes]))
    table = np.broadcast_to(values, (len(codes), 1, values.shape[-1])).astype(NUMPY_TYPES[op.storage])
    return replace(node, op=LevelValues(np.ascontiguousarray(table[:, 0].T), op.storage))
