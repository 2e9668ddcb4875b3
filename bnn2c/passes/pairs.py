"""Replace an operation and the only reader of its result by one operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bnn2c.ir import Graph, Node, Op, origins
from bnn2c.passes.cleanup import drop_dead


def fuse_pairs(graph: Graph, joined: Callable[[Node, Node], Op | None]) -> Graph:
    """Every pair of a node and the one node whose first operand it is, where there is a joint operation.

    Args:
        graph: what is rewritten.
        joined: the operation that computes the second node's result from the operands of the first one and then the
            other operands of the second; None where there is none.
    """
    producers = {node.output: node for node in graph.nodes}
    reads = graph.reads()

    def fused(node: Node) -> Node:
        source = producers.get(node.inputs[0]) if node.inputs else None
        op = joined(source, node) if source is not None and reads[source.output] == 1 else None
        if source is None or op is None:
            return node
        return Node(node.output, op, source.inputs + node.inputs[1:], origins((source, node)), source.why + node.why)

    return drop_dead(replace(graph, nodes=tuple(map(fused, graph.nodes))))
