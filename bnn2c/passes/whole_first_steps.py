"""Write the first step of a recurrent network like its other steps, where an exporter simplified it.

A first step from a state of zeros needs no product with the state, and exporters drop it. Then the first step is unlike
the others, stays in front of the loop that they become, and a stream would have to treat its first frame differently.
`step(x_0, zeros)` takes its place when `analysis/symbols.py` proves that it computes the same for every x_0.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.analysis.symbols import Symbols
from bnn2c.expr import const
from bnn2c.ir import Graph, Node
from bnn2c.ops.map import Map
from bnn2c.ops.rearrange import Rearrange
from bnn2c.passes.cleanup import drop_dead
from bnn2c.passes.wiring import Wiring


def with_whole_first_step(wiring: Wiring) -> Wiring | None:
    """The wiring of one group more, in a graph that has it in front of the others; None where nothing was dropped.

    Args:
        wiring: connected groups.
    """
    states = {wiring.inputs[number].value: place for number, place in wiring.states.items()}
    if not states or not states.keys() <= _computed(wiring):
        return None
    first = _First(wiring, states)
    places = {node.output: k for k, node in enumerate(first.graph.nodes)}
    needed = all(node.output in places for node in first.nodes)
    if not first.fits or not needed or states.keys() & places.keys() or not first.proved():
        return None
    start = places[first.nodes[0].output]
    longer = Wiring(first.graph, replace(wiring.found, start=start, steps=wiring.found.steps + 1), whole=True)
    return longer if longer.connect() and len(longer.states) == len(wiring.states) else None


def _computed(wiring: Wiring) -> set[str]:
    """Real values that operations in front of the groups compute from the graph's inputs."""
    before = wiring.graph.nodes[: wiring.found.start]
    return {node.output for node in before if node.inputs and wiring.graph.types[node.output].storage == "f32"}


class _First:
    """A step in front of the groups, from zeros.

    Attributes:
        zeros: the initial states.
        fits: whether what the groups read of the inputs exists one step earlier.
        whole: the graph with that step, which all later operations read instead of the simplified one.
        graph: without what only the simplified step needs.
    """

    def __init__(self, wiring: Wiring, states: dict[str, int]) -> None:
        self.wiring, self.states = wiring, states
        self.types = dict(wiring.graph.types)
        self.names: dict[str, str] = {}
        self.zeros = [self._zero(name) for name in states]
        self.fits = True
        self.nodes = [self._clone(place) for place in wiring.places]
        self.whole = self._inserted() if self.fits else wiring.graph
        self.graph = drop_dead(self.whole)

    def _zero(self, state: str) -> Node:
        kind = self.types[state]
        self.names[state] = f"{state}/zeros"
        self.types[self.names[state]] = kind
        return Node(self.names[state], Map(const(np.zeros((1, 1, 1), np.float32)), kind.shape), ())

    def _clone(self, place: int) -> Node:
        """An operation of the first group, one step earlier."""
        node, later = self.wiring.node(0, place), self.wiring.node(1, place)
        op = node.op
        if isinstance(op, Rearrange) and isinstance(later.op, Rearrange) and node.inputs == later.inputs:
            moved = np.where(op.index < 0, -1, 2 * op.index - later.op.index).astype(np.int32)
            self.fits &= bool((moved[op.index >= 0] >= 0).all()) and int(moved.max()) < self.types[node.inputs[0]].size
            op = replace(op, index=moved)
        inputs = tuple(self.names.get(name, name) for name in node.inputs)
        self.names[node.output] = f"{node.output}/first"
        self.types[self.names[node.output]] = self.types[node.output]
        return replace(node, op=op, output=self.names[node.output], inputs=inputs)

    def _inserted(self) -> Graph:
        graph, start = self.wiring.graph, self.wiring.found.start
        taken = {name: self.nodes[place].output for name, place in self.states.items()}
        after = [
            replace(node, inputs=tuple(taken.get(name, name) for name in node.inputs)) for node in graph.nodes[start:]
        ]
        nodes = (*graph.nodes[:start], *self.zeros, *self.nodes, *after)
        return replace(graph, nodes=nodes, types=self.types)

    def proved(self) -> bool:
        """Whether the step computes what the simplified one does."""
        symbols = Symbols(self.whole)
        pairs = [(symbols.of(name), symbols.of(self.nodes[place].output)) for name, place in self.states.items()]
        return all(symbols.same(old, new) for old, new in pairs)
