"""The order of nodes: every node reads what an earlier node wrote; cycles and missing tensors are told apart.

ONNX demands that order. Tools that only append nodes, such as ONNX Runtime's conversion to float16, write others, which
runtimes sort. Also which nodes an output needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from bnn2c.errors import CompileError, Diagnostic

SHOWN = 6


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Put the writers of what a node of the main graph reads in front of it; all else stays, and graphs with cycles."""
    nodes = list(graph.node)
    writers = {name: place for place, node in enumerate(nodes) for name in node.output}
    needs = [[writers[name] for name in _read(node) if name in writers] for node in nodes]
    if all(one < place for place, before in enumerate(needs) for one in before):
        return
    order = _sorted(needs)
    if order:
        sorted_nodes = [onnx.NodeProto.FromString(nodes[place].SerializeToString()) for place in order]
        del graph.node[:]
        graph.node.extend(sorted_nodes)


def _sorted(needs: Sequence[Sequence[int]]) -> list[int]:
    """Numbers in order, each behind those that it needs; empty when there is a cycle."""
    found: dict[int, None] = {}
    for root in range(len(needs)):
        waiting, entered = [root], set()
        while waiting:
            place = waiting[-1]
            missing = [one for one in sorted(needs[place], reverse=True) if one not in found]
            if place in entered and missing:
                return []
            if missing and place not in found:
                entered.add(place)
                waiting.extend(missing)
            else:
                found[waiting.pop()] = None
    return list(found)


def check_order(graph: onnx.GraphProto) -> None:
    """Refuse a main graph, sorted where that can be, in which a node reads a tensor that no node before it computes.

    Raises:
        CompileError: BNN003 for a cycle or for each tensor that nothing computes.
    """
    known = {"", *(i.name for i in graph.input), *(t.name for t in graph.initializer)}
    writers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        absent = [name for name in node.input if name not in known]
        if absent:
            raise CompileError(_problems(node, absent, known, writers))
        known.update(node.output)


def needed_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes of a main graph that an output depends on, in order; exporters leave others behind."""
    wanted = {output.name for output in graph.output}
    found = []
    for node in reversed(graph.node):
        if not wanted.isdisjoint(node.output):
            found.append(node)
            wanted |= _read(node)
    return found[::-1]


def _read(node: onnx.NodeProto) -> set[str]:
    """Names that a node or its subgraphs read; names that a subgraph itself computes may be among them."""
    bodies = [graph for item in node.attribute for graph in (item.g, *item.graphs)]
    inside = [{output.name for output in body.output}.union(*map(_read, body.node)) for body in bodies]
    return set(node.input).union(*inside) - {""}


def _problems(
    node: onnx.NodeProto, absent: list[str], known: set[str], writers: Mapping[str, onnx.NodeProto]
) -> list[Diagnostic]:
    lost = [name for name in absent if name not in writers]
    if lost:
        return [_about(node, f"nothing computes the tensor {name}, which this node reads") for name in lost]
    cycle = _cycle(node, known, writers)
    if cycle:
        names = [node_name(n) for n in cycle]
        shown = names if len(names) <= SHOWN else [*names[: SHOWN - 1], f"{len(names) - SHOWN + 1} more"]
        return [_about(node, f"the graph has a cycle: {' -> '.join([*shown, names[0]])}")]
    return [_about(node, f"the node reads {absent[0]} before {node_name(writers[absent[0]])} computes it")]


def _cycle(start: onnx.NodeProto, known: set[str], writers: Mapping[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Nodes, each reading from the next one's predecessor, that lead from `start` back to it; empty without a cycle."""
    came: dict[int, onnx.NodeProto] = {}
    waiting, seen = [start], {id(start)}
    while waiting:
        node = waiting.pop()
        for name in node.input:
            writer = writers.get(name)
            if name in known or writer is None:
                continue
            if writer is start:
                return _path(node, start, came)
            if id(writer) not in seen:
                seen.add(id(writer))
                came[id(writer)] = node
                waiting.append(writer)
    return []


def _path(last: onnx.NodeProto, start: onnx.NodeProto, came: Mapping[int, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The cycle in the order of the data, `start` first."""
    found = [last]
    while found[-1] is not start:
        found.append(came[id(found[-1])])
    return [start, *found[:-1]]


def node_name(node: onnx.NodeProto) -> str:
    """The node's name, or its first output where the exporter gave none."""
    return node.name or next((o for o in node.output if o), node.op_type)


def _about(node: onnx.NodeProto, message: str) -> Diagnostic:
    return Diagnostic("BNN003", message, node=node_name(node), op=node.op_type)
