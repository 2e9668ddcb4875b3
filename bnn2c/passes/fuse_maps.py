"""Merge an elementwise operation into its only reader when that is elementwise too.

`Map g(Map f(x), y)` is `Map g(f(x), y)`: the same float32 operations in the same order, one loop instead of two, one
tensor less in memory. Applies when the inner result has one reader, the same shape, and is float32 (an integer result
is a conversion of its own). The steps of a recurrent network stay alike: the last state, or the first one of zeros, has
one reader where the others have two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bnn2c.expr import Arg, Expr, substitute
from bnn2c.expr.tree import count_nodes
from bnn2c.ir import Graph, Node, origins
from bnn2c.ops.map import Map
from bnn2c.passes.cleanup import drop_dead

MAX_OPERATIONS = 64
MAX_INPUTS = 8


def fuse_maps(graph: Graph, alike: Sequence[set[str]] = ()) -> Graph:
    """Fuse until nothing changes: two readers of a result that become one may take that in, too.

    Args:
        graph: what is rewritten.
        alike: sets of results that are fused only when all of a set have one reader.
    """
    fused = _fused_once(graph, alike)
    return fused if len(fused.nodes) == len(graph.nodes) else fuse_maps(fused, alike)


def _fused_once(graph: Graph, alike: Sequence[set[str]]) -> Graph:
    """Fuse from the inputs towards the outputs."""
    readers = graph.reads()
    for values in alike:
        most = max((readers[name] for name in values if name in readers), default=0)
        readers |= {name: most for name in values if name in readers}
    done: dict[str, Node] = {}
    nodes = []
    for node in graph.nodes:
        fused = _fused(node, done, readers)
        done[node.output] = fused
        nodes.append(fused)
    return drop_dead(replace(graph, nodes=tuple(nodes)))


def _fused(node: Node, done: dict[str, Node], readers: dict[str, int]) -> Node:
    if not isinstance(node.op, Map):
        return node
    names: list[str] = []
    args: list[Expr] = []
    merged: list[Node] = []
    for name in node.inputs:
        inner = done.get(name)
        first = _mergeable(inner, node.op, readers[name]) if inner is not None else None
        if inner is not None and first is not None:
            slots = [_slot(names, n) for n in inner.inputs]
            args.append(substitute(first.expr, [Arg(s) for s in slots]))
            merged.append(inner)
        else:
            args.append(Arg(_slot(names, name)))
    if not merged or len(names) > MAX_INPUTS:
        return node
    op = replace(node.op, expr=substitute(node.op.expr, args))
    return replace(node, op=op, inputs=tuple(names), origin=origins((*merged, node)))


def _slot(names: list[str], name: str) -> int:
    if name not in names:
        names.append(name)
    return names.index(name)


def _mergeable(inner: Node, outer: Map, readers: int) -> Map | None:
    """The operation of the inner node, if it may become part of the outer one."""
    op = inner.op
    if not isinstance(op, Map) or readers != 1 or (op.shape, op.storage) != (outer.shape, "f32"):
        return None
    return op if count_nodes(op.expr) + count_nodes(outer.expr) <= MAX_OPERATIONS else None
