"""Pick the winner from the scores, not from their softmax.

`arg_max(softmax(x))` along the same axis is `arg_max(x)`: the exponential grows with its argument, and all are divided
by one sum. In float32 two probabilities are equal only where the scores differ by about their own rounding.
"""

from __future__ import annotations

from dataclasses import replace

from bnn2c.ir import Graph, Node
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.softmax import Softmax
from bnn2c.passes.cleanup import drop_dead


def drop_softmax(graph: Graph) -> Graph:
    """Read the scores wherever an ArgMax reads probabilities or their logarithms."""
    scores = {node.output: node.inputs[0] for node in graph.nodes if isinstance(node.op, Softmax)}

    def direct(node: Node) -> Node:
        source = scores.get(node.inputs[0]) if isinstance(node.op, ArgMax) else None
        return node if source is None else replace(node, inputs=(source,))

    return drop_dead(replace(graph, nodes=tuple(map(direct, graph.nodes))))
