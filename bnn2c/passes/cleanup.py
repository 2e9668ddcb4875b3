"""Remove nodes that no output needs."""

from __future__ import annotations

from dataclasses import replace

from bnn2c.ir import Graph, Node


def drop_dead(graph: Graph) -> Graph:
    """The graph with only the nodes and types that some output depends on; inputs stay."""
    live = {port.value for port in graph.outputs}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if node.output in live:
            kept.append(node)
            live.update(node.inputs)
    names = live | {port.value for port in graph.inputs}
    types = {name: kind for name, kind in graph.types.items() if name in names}
    return replace(graph, nodes=tuple(reversed(kept)), types=types)
