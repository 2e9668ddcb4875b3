"""Join neighbouring parts of a loop's result: their concatenation is a part too.

`concat(rearrange_1(x), rearrange_2(x), …) = rearrange(x)` with the concatenated positions; exact. Applied where x is a
loop, so that the states of all steps need one copy at most, not one per step.

Rows that join parts of several loops, such as the states of both directions at a frame, become one concatenation of all
rows, of which each is a part: `concat_b(x_t, y_t) = rearrange_t(concat_b(concat_a(x_1, x_2, …), concat_a(y_1, …)))`
along another axis a; exact. So the next layer, which reads a row in each step, can be a loop.
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
    graph = _rows_at_once(graph)
    producers = {node.output: node for node in graph.nodes}
    types = dict(graph.types)
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += _joined(node, node.op, producers, types) if isinstance(node.op, Concat) else [node]
    return replace(graph, nodes=tuple(nodes), types=types)


def _rows_at_once(graph: Graph) -> Graph:
    """Concatenations of parts of the same loops as parts of one."""
    producers = {node.output: node for node in graph.nodes}
    alike: dict[object, list[Node]] = {}
    for node in graph.nodes:
        if isinstance(node.op, Concat):
            loops = tuple(_source_of(name, producers) for name in node.inputs)
            if "" not in loops and len(set(loops)) > 1:
                kinds = tuple(graph.types[name] for name in node.inputs)
                alike.setdefault((node.op.axis, loops, kinds), []).append(node)
    types, made = dict(graph.types), dict[str, list[Node]]()
    for rows in alike.values():
        if len(rows) > 1:
            made |= _as_parts(rows, producers, types)
    return replace(
        graph, nodes=tuple(new for node in graph.nodes for new in made.get(node.output, [node])), types=types
    )


def _as_parts(rows: list[Node], producers: dict[str, Node], types: dict[str, TensorType]) -> dict[str, list[Node]]:
    """What replaces each of some rows; all of them stand in front of the first."""
    op = rows[0].op
    assert isinstance(op, Concat)
    along, name = (1 if op.axis == 0 else 0), f"{rows[0].output}/rows"
    sides = []
    for k in range(len(rows[0].inputs)):
        parts = [producers[row.inputs[k]] for row in rows]
        indices = [part.op.index for part in parts if isinstance(part.op, Rearrange)]
        side = Node(f"{name}{k}", Rearrange(np.concatenate(indices, axis=along)), parts[0].inputs, rows[0].origin)
        types[side.output] = side.op.infer([types[side.inputs[0]]])
        sides.append(side)
    types[name] = op.infer([types[side.output] for side in sides])
    places = np.arange(types[name].size).reshape(types[name].shape)
    found = {
        row.output: [replace(row, op=Rearrange(index.astype(np.int32)), inputs=(name,))]
        for row, index in zip(rows, np.split(places, len(rows), axis=along), strict=True)
    }
    found[rows[0].output][:0] = [*sides, Node(name, op, tuple(side.output for side in sides), rows[0].origin)]
    return found


def _joined(node: Node, op: Concat, producers: dict[str, Node], types: dict[str, TensorType]) -> list[Node]:
    """The concatenation of fewer operands, after the parts that replace them."""
    found: list[Node] = []
    for number, (loop, names) in enumerate(groupby(node.inputs, lambda name: _source_of(name, producers))):
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


def _source_of(name: str, producers: dict[str, Node]) -> str:
    """The loop, or the rows of several loops, that `name` is a part of; empty for other values."""
    node = producers.get(name)
    if node is None or not isinstance(node.op, Rearrange) or (node.op.index < 0).any():
        return ""
    source = producers.get(node.inputs[0])
    if source is None or not isinstance(source.op, (Concat, Loop)):
        return ""
    rows = isinstance(source.op, Loop) or all(_source_of(part, producers) for part in source.inputs)
    return source.output if rows else ""
