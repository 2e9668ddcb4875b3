"""Write the last step of a recurrent network like its other steps, where nothing reads the state that it leaves.

A state that is only read as a code (a binarised hidden state) is quantised once in every step but the last one, whose
code nobody needs. Then the last step is unlike the others and stays behind the loop that they become. Quantising there,
too, changes nothing: the result is not read.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.analysis.repetition import fingerprint
from bnn2c.ir import Graph, Node, Op
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.rearrange import Rearrange
from bnn2c.passes.wiring import Wiring


def with_whole_last_step(wiring: Wiring) -> Wiring | None:
    """The wiring of one group more, which takes in a last step without its quantisers; None where there is none.

    Args:
        wiring: connected groups.
    """
    last = _Last(wiring)
    if not all(map(last.found, wiring.places)) or not last.partial:
        return None
    longer = Wiring(last.graph(), replace(wiring.found, steps=wiring.found.steps + 1), whole=wiring.whole)
    return longer if longer.connect() and len(longer.states) == len(wiring.states) else None


class _Last:
    """A step behind the groups.

    Attributes:
        rest: operations behind the groups that are not in the step (yet), by their outputs.
        nodes: the step's operations.
        made: those of them that the graph did not have.
    """

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.rest = {node.output: node for node in wiring.graph.nodes[wiring.found.end :]}
        self.nodes: list[Node] = []
        self.made: dict[str, Node] = {}
        steps = wiring.found.steps
        self._names = {wiring.node(steps - 2, k).output: wiring.node(steps - 1, k).output for k in wiring.places}

    @property
    def partial(self) -> bool:
        """Whether the graph has operations of the step, but not all."""
        return 0 < len(self.made) < len(self.nodes)

    def found(self, place: int) -> bool:
        """Take the operation of the last group, one step later; a quantiser that nobody needs is made."""
        node = self.wiring.node(self.wiring.found.steps - 1, place)
        inputs = tuple(self._names.get(name, name) for name in node.inputs)
        op = _moved_on(self.wiring, place)
        wanted = fingerprint(op)
        later = next((n for n in self.rest.values() if n.inputs == inputs and fingerprint(n.op) == wanted), None)
        if later is None and isinstance(op, Quantize):
            later = Node(f"{node.output}/last", op, inputs, node.origin)
            self.made[later.output] = node
        if later is None:
            return False
        self.rest.pop(later.output, None)
        self.nodes.append(later)
        self._names[node.output] = later.output
        return True

    def graph(self) -> Graph:
        """The graph with the step right behind the groups."""
        graph = self.wiring.graph
        types = dict(graph.types) | {name: graph.types[node.output] for name, node in self.made.items()}
        nodes = (*graph.nodes[: self.wiring.found.end], *self.nodes, *self.rest.values())
        return replace(graph, nodes=nodes, types=types)


def _moved_on(wiring: Wiring, place: int) -> Op:
    """The operation of the last group, one step later."""
    before, last = (wiring.node(wiring.found.steps - k, place) for k in (2, 1))
    if isinstance(before.op, Rearrange) and isinstance(last.op, Rearrange) and before.inputs == last.inputs:
        index = np.where(last.op.index < 0, -1, 2 * last.op.index - before.op.index)
        return replace(last.op, index=index.astype(np.int32))
    return last.op
