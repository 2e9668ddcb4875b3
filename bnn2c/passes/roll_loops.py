"""Turn repeated groups of operations (the time steps of an unrolled recurrent network) into one `Loop`.

Exporters, and the importer for RNN, GRU and LSTM, write every step out. Groups of equal operations with equal constants
form a loop when each input of an operation is, in all groups alike,

* the result of the same operation of the same group,
* the result of the same operation of the group before, and in the first group a value from outside (the initial state),
* one value from outside that all groups read, or
* a part of such a value, moved on by the same distance from group to group (the input of step t).

Then the loop executes the same operations on the same numbers in the same order: exact. Results that are read outside
the groups are kept: of the last step only, or of all steps in one tensor, of which the readers' operands are contiguous
parts. Concatenations of such parts are parts themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, groupby, islice

import numpy as np

from bnn2c.analysis.repetition import Repetition, repetitions
from bnn2c.errors import plural
from bnn2c.ir import Graph, Node, Port, origins
from bnn2c.ops.concat import Concat
from bnn2c.ops.loop import Feed, Loop, Result
from bnn2c.ops.rearrange import Rearrange
from bnn2c.passes.cleanup import drop_dead
from bnn2c.passes.join_parts import join_parts
from bnn2c.passes.narrow_copies import narrow_copies
from bnn2c.passes.reorder import (
    copied_from,
    copies_at_readers,
    deepest_first,
    equal_copies_once,
    maps_at_once,
    shared_first,
)
from bnn2c.passes.unroll_loops import unroll_loops
from bnn2c.passes.whole_first_steps import with_whole_first_step
from bnn2c.passes.whole_last_steps import with_whole_last_step
from bnn2c.passes.wiring import Wiring

COPIES = (Rearrange, Concat)
MAX_CANDIDATES = 2000
WHOLE_TRIED = 2


def roll_loops(graph: Graph) -> Graph:
    """Roll until nothing repeats, from that order of the operations which leaves fewest of them."""
    rolled, loops = _best(graph)
    return equal_copies_once(rolled) if loops else graph


def write_first_steps(graph: Graph) -> Graph:
    """The graph without loops, whose simplified first steps are written like the steps that they become a loop with."""
    rolled, loops = _best(narrow_copies(graph))
    return unroll_loops(rolled) if any(wiring.whole for wiring in loops) else graph


def alike_values(graph: Graph) -> list[set[str]]:
    """Values that become one value of a loop's body: their storage must be chosen alike, or nothing repeats."""
    found: list[set[str]] = []
    for wiring in _best(graph)[1]:
        places = [{wiring.node(step, place).output for step in range(wiring.found.steps)} for place in wiring.places]
        for number, place in wiring.states.items():
            places[place].add(wiring.inputs[number].value)
        found += [{copied_from(name, graph.types) for name in values} & graph.types.keys() for values in places]
    return found


def _best(graph: Graph) -> tuple[Graph, list[Wiring]]:
    front = shared_first(graph)
    orders = [graph, maps_at_once(graph), deepest_first(graph), *[front, maps_at_once(front)] * (front != graph)]
    found = [_rolled(order) for order in orders]
    return min(found, key=lambda rolled: _size(rolled[0]))


def _rolled(graph: Graph) -> tuple[Graph, list[Wiring]]:
    loops: list[Wiring] = []
    while True:
        rolled = _rolled_once(copies_at_readers(graph))
        if rolled is None:
            return graph, loops
        graph = drop_dead(join_parts(equal_copies_once(rolled[0])))
        loops.append(rolled[1])


def _size(graph: Graph) -> int:
    """Operations, without copies."""
    nodes = [node for node in graph.nodes if not isinstance(node.op, Rearrange)]
    return sum(1 + (_size(node.op.body) if isinstance(node.op, Loop) else 0) for node in nodes)


def _rolled_once(graph: Graph) -> tuple[Graph, Wiring] | None:
    tried = islice(repetitions(graph), MAX_CANDIDATES)
    for _, alignments in groupby(tried, lambda found: (found.length, found.steps)):
        for wiring in _connected(graph, alignments):
            rolled = _replaced(wiring.graph, wiring.found, wiring)
            if rolled is not None:
                return rolled, wiring
    return None


def _connected(graph: Graph, alignments: Iterable[Repetition]) -> Iterable[Wiring]:
    """Alignments of groups that are connected alike, fewest carried states first; one with a step more leads.

    Those with few states may leave results of two types, a real state and its code; so some others are tried, too.
    """
    found = []
    for repetition in alignments:
        group = graph.nodes[repetition.start : repetition.start + repetition.length]
        wiring = Wiring(graph, repetition)
        if not all(isinstance(node.op, (*COPIES, Loop)) for node in group) and wiring.connect():
            found.append(wiring.forward())
    found.sort(key=lambda wiring: len(wiring.states))
    others = filter(_replaceable, found[WHOLE_TRIED:])
    grown = map(_grown, chain(found[:WHOLE_TRIED], islice(others, WHOLE_TRIED)))
    return chain(filter(None, grown), found)


def _replaceable(wiring: Wiring) -> bool:
    return _replaced(wiring.graph, wiring.found, wiring) is not None


def _grown(wiring: Wiring) -> Wiring | None:
    """With a first step, a last step or both; None where there is neither."""
    first = with_whole_first_step(wiring)
    return with_whole_last_step(first or wiring) or first


def _replaced(graph: Graph, found: Repetition, wiring: Wiring) -> Graph | None:
    """The graph with a loop instead of the groups, or None when the results cannot lie in one tensor."""
    used = _used_outside(graph, found)
    stacked = {place: any(t < found.steps - 1 for t, p in used if p == place) for _, place in used}
    outputs = sorted(stacked.keys() | set(wiring.states.values()))
    ports = tuple(_port(wiring.node(0, place).output, graph) for place in outputs)
    results = tuple(Result(outputs.index(place), stacked[place]) for place in sorted(stacked))
    feeds = tuple(
        Feed(i.start, i.step, outputs.index(wiring.states[k]) if k in wiring.states else None)
        for k, i in enumerate(wiring.inputs)
    )
    body = replace(graph, inputs=tuple(i.port for i in wiring.inputs), outputs=ports, nodes=tuple(wiring.body))
    types = dict(graph.types) | {i.port.value: i.kind for i in wiring.inputs}
    loop = Loop(drop_dead(equal_copies_once(replace(body, types=types))), found.steps, feeds, results)
    return _inserted(graph, found, wiring, loop, used)


def _inserted(graph: Graph, found: Repetition, wiring: Wiring, loop: Loop, used: set[tuple[int, int]]) -> Graph | None:
    """Put the loop in the groups' place; values that are read outside become parts of its result."""
    groups = graph.nodes[found.start : found.end]
    reasons = dict.fromkeys(reason for inner in loop.body.nodes for reason in inner.why)
    why = (f"{found.steps} equal steps of {plural(found.length, 'operation')}", *reasons)
    node = Node(f"{groups[0].output}/loop", loop, tuple(i.value for i in wiring.inputs), origins(groups), why)
    try:
        kind = loop.infer(graph.input_types(node))
    except ValueError:
        return None
    parts = [_part(wiring, node, loop, *place) for place in sorted(used)]
    nodes = (*graph.nodes[: found.start], node, *parts, *graph.nodes[found.end :])
    return replace(graph, nodes=nodes, types={**graph.types, node.output: kind})


def _part(wiring: Wiring, loop_node: Node, loop: Loop, step: int, place: int) -> Node:
    """One kept value, as a part of the loop's result."""
    node = wiring.node(step, place)
    kind = wiring.graph.types[node.output]
    value = wiring.node(0, place).output
    number = next(k for k, r in enumerate(loop.results) if loop.body.outputs[r.output].value == value)
    first = loop.places[number] + (step * kind.size if loop.results[number].stacked else 0)
    index = first + np.arange(kind.size, dtype=np.int32).reshape(kind.shape)
    return Node(node.output, Rearrange(index), (loop_node.output,), node.origin)


def _used_outside(graph: Graph, found: Repetition) -> set[tuple[int, int]]:
    """(step, place) of every value of the groups that something else reads."""
    others = (*graph.nodes[: found.start], *graph.nodes[found.end :])
    read = {name for node in others for name in node.inputs} | {port.value for port in graph.outputs}
    groups = enumerate(graph.nodes[found.start : found.end])
    return {divmod(k, found.length) for k, node in groups if node.output in read}


def _port(value: str, graph: Graph) -> Port:
    return Port(value, value, graph.types[value].shape, "float32")
