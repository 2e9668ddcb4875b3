"""Lay the weights of vertical counters in diagonals where a logic operation may turn an operand.

In a row of the 32 x 32 bits of a weight block all lanes see the same input, whose bit is broadcast; in a diagonal lane
l sees input l + r of a word, which is the word turned by r (runtime_c/bnn2c_sliced_counts.h). The sums are the same.
All layers of a program share the layout, those in loops too; vectors of several words keep rows.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from bnn2c.ir import Graph, Op
from bnn2c.kernels.alternatives import lane_words_of
from bnn2c.kernels.cores import turns_operands
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.targets import Target


def lay_diagonals(graph: Graph, target: Target) -> Graph:
    """The graph for the target; kernels are chosen."""
    return _laid(graph) if turns_operands(target) and lane_words_of(graph) == 1 else graph


def has_diagonals(graph: Graph) -> bool:
    """Whether the layout of the graph's layers is diagonals (BNN2C_DIAGONALS)."""
    return any(layer.diagonal for node in graph.nodes for layer in _layers(node.op))


def _layers(part: Any) -> list[BinaryConv2d]:  # noqa: ANN401 - attributes of any type
    """The binary layers in an operation or an attribute of one."""
    if isinstance(part, Graph):
        return [layer for node in part.nodes for layer in _layers(node.op)]
    if isinstance(part, tuple):
        return [layer for one in part for layer in _layers(one)]
    if isinstance(part, Op):
        here = [part] if isinstance(part, BinaryConv2d) else []
        return here + [layer for one in _attributes(part).values() for layer in _layers(one)]
    return []


def _attributes(op: Any) -> dict[str, Any]:  # noqa: ANN401 - operations are dataclasses, their base class is none
    return {field.name: getattr(op, field.name) for field in fields(op)}


def _laid(part: Any) -> Any:  # noqa: ANN401 - the type of the argument
    """An operation, an attribute of one or a graph, with all binary layers in it changed."""
    if not _layers(part):
        return part
    if isinstance(part, Graph):
        return replace(part, nodes=tuple(replace(node, op=_laid(node.op)) for node in part.nodes))
    if isinstance(part, tuple):
        return tuple(_laid(one) for one in part)
    changed = {name: _laid(one) for name, one in _attributes(part).items()}
    return replace(part, **changed | ({"diagonal": True} if isinstance(part, BinaryConv2d) else {}))
