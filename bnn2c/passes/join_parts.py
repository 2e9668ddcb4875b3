"""Join neighbouring parts of a loop's result: their concatenation is a part too.

`concat(rearrange_1(x), rearrange_2(x), …) = rearrange(x)` with the concatenated positions; exact. Applied where x is a
loop, so that the states of all steps need one copy at most, not one per step.

A row per step that joins parts of several loops, as bidirectional cells do, is turned round before: along other axes,
`concat_a(concat_b(x_1, y_1), concat_b(x_2, y_2), …) = concat_b(concat_a(x_1, x_2, …), concat_a(y_1, y_2, …))`; exact.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import numpy as np

from bnn2c.ir import Graph, Node, TensorType
from bnn2c.ops.concat import Concat
from bnn2c.ops.loop import Loop
from bnn2c.ops.rearrange import Rearrange


def join_parts(graph: Graph) -> Graph:
    """Rewrite every concatenation of parts."""
    producers = {node.output: node for node in graph.nodes}
    types = dict(graph.types)
    nodes: list[Node] = []
    for node in graph.nodes:
        for part in _turned(node, producers, types):
            nodes += _joined(part, part.op, producers, types) if isinstance(part.op, Concat) else [part]
    return replace(graph, nodes=tuple(nodes), types=types)


def _turned(node: Node, producers: dict[str, Node], types: dict[str, TensorType]) -> list[Node]:
    """A concatenation of rows as that of its sides, each of which comes from one loop; anything else as it is."""
    rows = [producers.get(name, node) for name in node.inputs]
    axes = {row.op.axis if isinstance(row.op, Concat) else -1 for row in rows}
    if not isinstance(node.op, Concat) or len(axes) != 1 or not axes.isdisjoint({-1, node.op.axis}):
        return [node]
    sides = list(zip(*(row.inputs for row in rows), strict=False))
    plain = all(len(row.inputs) == len(sides) for row in rows)
    if not plain or not all(_from_one_loop(side, producers, types) for side in sides):
        return [node]
    made = [Node(f"{node.output}/side{k}", node.op, side, node.origin) for k, side in enumerate(sides)]
    types.update({side.output: side.op.infer([types[name] for name in side.inputs]) for side in made})
    return [*made, replace(node, op=Concat(axes.pop()), inputs=tuple(side.output for side in made))]


def _from_one_loop(names: tuple[str, ...], producers: dict[str, Node], types: dict[str, TensorType]) -> bool:
    loops = {_loop_of(name, producers) for name in names}
    return len(loops) == 1 and "" not in loops and len({types[name].shape for name in names}) == 1


def _joined(node: Node, op: Concat, producers: dict[str, Node], types: dict[str, TensorType]) -> list[Node]:
    """The concatenation of fewer operands, after the parts that replace them."""
    found: list[Node] = []
    for number, (loop, names) in enumerate(groupby(node.inputs, lambda name: _loop_of(name, producers))):
        parts = [producers[name] for name in names] if loop else [Node(name, op, ()) for name in names]
        if not loop or len(parts) == 1:
            found += parts
            continue
        indices = [part.op.index for part in parts if isinstance(part.op, Rearrange)]
        joined = Rearrange(np.concatenate(indices, axis=op.axis))
        found.append(Node(f"{node.output}/part{number}", joined, (loop,), node.origin))
        types[found[-1].output] = joined.infer([types[loop]])
    made = [part for part in found if part.output not in node.inputs]
    if len(found) == 1:
        return [replace(made[0], output=node.output)] if made else [node]
    return [*made, replace(node, inputs=tuple(part.output for part in found))]


def _loop_of(name: str, producers: dict[str, Node]) -> str:
    """The loop whose result `name` is a part of; empty for other values."""
    node = producers.get(name)
    if node is None or not isinstance(node.op, Rearrange) or (node.op.index < 0).any():
        return ""
    source = producers.get(node.inputs[0])
    return source.output if source is not None and isinstance(source.op, Loop) else ""
