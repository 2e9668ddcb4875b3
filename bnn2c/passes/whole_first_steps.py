"""Write the first step of a recurrent network like its other steps, where an exporter simplified it.

A first step from a state of zeros needs no product with the state, and exporters drop it. Then the first step is unlike
the others, stays in front of the loop that they become, and a stream would have to treat its first frame differently.
`step(x_0, zeros)` takes its place when `analysis/symbols.py` proves that it computes the same for every x_0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from bnn2c.analysis.symbols import Symbols
from bnn2c.expr import const
from bnn2c.ir import Graph, Node, TensorType
from bnn2c.ops.map import Map
from bnn2c.ops.quantize import Quantize
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
    """Real values, and codes, that operations in front of the groups compute from the graph's inputs."""
    types, before = wiring.graph.types, wiring.graph.nodes[: wiring.found.start]
    return {n.output for n in before if n.inputs and (types[n.output].storage == "f32" or isinstance(n.op, Quantize))}


def _zeros(name: str, kind: TensorType) -> Node:
    return Node(name, Map(const(np.zeros((1, 1, 1), np.float32)), kind.shape), ())


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
        self.fits = True
        self.zeros = [node for name, place in states.items() for node in self._zero(name, place)]
        self.nodes = [self._clone(place) for place in wiring.places]
        self.whole = self._read_elsewhere(self._inserted()) if self.fits else wiring.graph
        self.graph = drop_dead(self.whole)

    def _zero(self, state: str, place: int) -> list[Node]:
        """Zeros, or their code."""
        name, kind, made = f"{state}/zeros", self.types[state], self.wiring.node(0, place)
        self.names[state], self.types[name] = name, kind
        if kind.storage == "f32":
            return [_zeros(name, kind)]
        real = self.types[made.inputs[0]]
        self.fits &= isinstance(made.op, Quantize) and real.storage == "f32"
        self.types[f"{name}/real"] = real
        return [_zeros(f"{name}/real", real), replace(made, output=name, inputs=(f"{name}/real",))]

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
        """The graph with the step, which later operations read instead of the simplified one."""
        graph, start = self.wiring.graph, self.wiring.found.start
        before, later, step = graph.nodes[:start], graph.nodes[start:], (*self.zeros, *self.nodes)
        whole = replace(graph, nodes=(*before, *step, *later), types=self.types)
        read = {name for node in later for name in node.inputs} - self.states.keys()
        same = self._equal(whole, [(n, new) for n in before if n.inputs and n.output in read for new in self.nodes])
        taken = {name: self.nodes[place].output for name, place in self.states.items()}
        taken |= {name: node.output for name, node in same.items()}
        after = [replace(node, inputs=tuple(taken.get(name, name) for name in node.inputs)) for node in later]
        return replace(whole, nodes=(*before, *step, *after))

    def _equal(self, graph: Graph, pairs: Iterable[tuple[Node, Node]]) -> dict[str, Node]:
        """The first operations of pairs -> the second ones, where both compute the same."""
        symbols = Symbols(graph)
        return {
            old.output: new
            for old, new in pairs
            if (old.op.kind, self.types[old.output]) == (new.op.kind, self.types[new.output])
            and symbols.same(symbols.of(old.output), symbols.of(new.output))
        }

    def _read_elsewhere(self, graph: Graph) -> Graph:
        """What computes from other results of the simplified step what it computes from those of later steps."""
        wiring = self.wiring
        old = {n.output for n in wiring.graph.nodes[: wiring.found.start] if n.inputs} - self.states.keys()
        group = {wiring.node(0, place).output for place in wiring.places}
        after = wiring.graph.nodes[wiring.found.end :]
        later = {node.op.kind: node for node in reversed(after) if node.inputs and group.issuperset(node.inputs)}
        pairs = []
        for node in after:
            like = later.get(node.op.kind)
            if like and node.inputs and old.issuperset(node.inputs):
                name, inputs = f"{node.output}/first", tuple(self.names[name] for name in like.inputs)
                self.types[name] = self.types[like.output]
                pairs.append((node, replace(like, output=name, inputs=inputs, origin=node.origin)))
        made = (new for _, new in pairs)
        same = self._equal(replace(graph, nodes=(*graph.nodes, *made), types=self.types), pairs)
        nodes = (replace(same[n.output], output=n.output) if n.output in same else n for n in graph.nodes)
        return replace(graph, nodes=tuple(nodes))

    def proved(self) -> bool:
        """Whether the step computes what the simplified one does."""
        symbols = Symbols(self.whole)
        pairs = [(symbols.of(name), symbols.of(self.nodes[place].output)) for name, place in self.states.items()]
        return all(symbols.same(old, new) for old, new in pairs)
