"""Apply a pass to the bodies of loops, then to the graph around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps

from bnn2c.ir import Graph, Node
from bnn2c.ops.loop import Loop

Pass = Callable[[Graph], Graph]


def in_bodies(run: Pass) -> Pass:
    """The pass for graphs with loops; it must keep the types of a graph's inputs and outputs."""

    @wraps(run)
    def everywhere(graph: Graph) -> Graph:
        nodes = tuple(_rewritten(node, everywhere) for node in graph.nodes)
        return run(replace(graph, nodes=nodes))

    return everywhere


def _rewritten(node: Node, run: Pass) -> Node:
    return replace(node, op=replace(node.op, body=run(node.op.body))) if isinstance(node.op, Loop) else node
