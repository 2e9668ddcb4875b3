"""Numbers that are compared with numbers computed a second time: both times step by step.

`x == max(x)` and `x >= TopK(x)` read the elementwise chain that ends in x twice: at once, and through a tensor in
memory. C that shortens one of the two chains (`bnn2c.expr.affine`) finds no element that is its own maximum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bnn2c.expr.affine import discontinuous
from bnn2c.ir import Graph, Node
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.concat import Concat
from bnn2c.ops.map import Map
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.rearrange import Rearrange
from bnn2c.ops.reduce import Reduce

_CHOICES = (ArgMax, Concat, Map, MaxPool, Rearrange, Reduce)


def keep_compared(graph: Graph) -> Graph:
    """Keep the chains that begin at an operand of a decision and come to it by another way as well."""
    producers = {node.output: node for node in graph.nodes}
    kept: set[str] = set()
    for node in graph.nodes:
        if isinstance(node.op, Map) and len(node.inputs) > 1 and discontinuous(node.op.expr):
            kept |= _computed_again(node, producers)
    return replace(graph, nodes=tuple(_stepwise(node) if node.output in kept else node for node in graph.nodes))


def _stepwise(node: Node) -> Node:
    return replace(node, op=replace(node.op, stepwise=True)) if isinstance(node.op, Map) else node


def _computed_again(decision: Node, producers: Mapping[str, Node]) -> set[str]:
    """Maps in front of a decision, moves and choices of elements between them, that read an operand of it."""
    operands = _origins(decision, producers)
    found: set[str] = set()
    waiting, seen = list(decision.inputs), set(decision.inputs)
    while waiting:
        node = producers.get(waiting.pop())
        if node is None or not isinstance(node.op, _CHOICES):
            continue
        if isinstance(node.op, Map) and not operands.isdisjoint(_origins(node, producers)):
            found.add(node.output)
        waiting.extend(name for name in node.inputs if name not in seen)
        seen.update(node.inputs)
    return found


def _origins(node: Node, producers: Mapping[str, Node]) -> set[str]:
    """What a node reads, before it was moved."""
    found = set()
    for name in node.inputs:
        while name in producers and isinstance(producers[name].op, Rearrange):
            (name,) = producers[name].inputs
        found.add(name)
    return found
