"""How the operations of repeated groups read each other: the connections that make them a loop."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from bnn2c.analysis.repetition import Repetition
from bnn2c.analysis.steps import Array
from bnn2c.ir import Graph, Node, Port, TensorType
from bnn2c.ops.rearrange import Rearrange


@dataclass(frozen=True)
class Input:
    """One input of the body: a window of `value` that begins at element `start` and moves by `step`."""

    port: Port
    kind: TensorType
    value: str
    start: int = 0
    step: int = 0


@dataclass
class Wiring:
    """The body of a loop over the groups; filled by `connect`.

    Attributes:
        graph: where the groups are.
        found: the groups.
        inputs: what the body reads.
        states: input number -> place, within the group, of the operation that it is carried from.
        body: the operations of one group, reading `inputs`.
        whole: the first group was written by `whole_first_steps`. (What `whole_last_steps` adds is read by nothing, so
            a last group needs no mark.)
    """

    graph: Graph
    found: Repetition
    inputs: list[Input] = field(default_factory=list)
    states: dict[int, int] = field(default_factory=dict)
    body: list[Node] = field(default_factory=list)
    whole: bool = False
    _numbers: dict[object, int] = field(default_factory=dict)
    _home: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def places(self) -> range:
        """Numbers of the operations of a group."""
        return range(self.found.length)

    def node(self, step: int, place: int) -> Node:
        """Node number `place` of a group."""
        return self.graph.nodes[self.found.start + step * self.found.length + place]

    def connect(self) -> bool:
        """Whether all groups are connected alike."""
        groups = self.graph.nodes[self.found.start : self.found.end]
        self._home = {node.output: divmod(k, self.found.length) for k, node in enumerate(groups)}
        for place in range(self.found.length):
            nodes = [self.node(step, place) for step in range(self.found.steps)]
            connected = self._moving(nodes) or self._fixed(nodes)
            if connected is None:
                return False
            self.body.append(connected)
        return True

    def forward(self) -> Wiring:
        """The groups in the other order, where they read backward through their inputs and no state orders them."""
        moving = [i.step for i in self.inputs if i.step]
        if self.states or not moving or max(moving) > 0:
            return self
        nodes, first, length = self.graph.nodes, self.found.start, self.found.length
        groups = [nodes[k : k + length] for k in range(first, self.found.end, length)]
        turned = tuple(node for group in reversed(groups) for node in group)
        graph = replace(self.graph, nodes=(*nodes[:first], *turned, *nodes[self.found.end :]))
        found = Wiring(graph, self.found)
        return found if found.connect() else self

    def _fixed(self, nodes: list[Node]) -> Node | None:
        """An operation that does the same in every step."""
        indices = [node.op.index for node in nodes if isinstance(node.op, Rearrange)]
        if any(not np.array_equal(index, indices[0]) for index in indices):
            return None
        names = [self._input([node.inputs[port] for node in nodes]) for port in range(len(nodes[0].inputs))]
        known = tuple(name for name in names if name is not None)
        return replace(nodes[0], inputs=known) if len(known) == len(names) else None

    def _input(self, read: list[str]) -> str | None:
        """The value inside the body that stands for what the groups read; None when they are not connected alike."""
        homes = [self._home.get(name) for name in read]
        if homes[0] is None and len(set(read)) == 1:
            return self._declare(("whole", read[0]), read[0], self.graph.types[read[0]])
        places = {h[1] for h in homes if h is not None}
        if len(places) != 1:
            return None
        steps = [h[0] if h is not None else -1 for h in homes]
        if steps == list(range(len(read))):
            return self.node(0, places.pop()).output
        return self._state(read[0], places.pop()) if steps == list(range(-1, len(read) - 1)) else None

    def _state(self, initial: str, place: int) -> str | None:
        """An input that is carried from the operation at `place`."""
        kind = self.graph.types[initial]
        if kind != self.graph.types[self.node(0, place).output]:
            return None
        name = self._declare(("state", initial, place), initial, kind)
        self.states[self._numbers["state", initial, place]] = place
        return name

    def _declare(self, key: object, value: str, kind: TensorType, start: int = 0, step: int = 0) -> str:
        if key not in self._numbers:
            name = f"step/{len(self.inputs)}"
            self._numbers[key] = len(self.inputs)
            self.inputs.append(Input(Port(name, name, kind.shape, "float32"), kind, value, start, step))
        return self.inputs[self._numbers[key]].port.value

    def _moving(self, nodes: list[Node]) -> Node | None:
        """A copy of a part that moves on by the same distance in every step."""
        indices = [node.op.index for node in nodes if isinstance(node.op, Rearrange)]
        source = nodes[0].inputs[0] if nodes[0].inputs else ""
        if not indices or source in self._home or any(node.inputs[0] != source for node in nodes):
            return None
        step = int(indices[1].max() - indices[0].max())
        moved = [np.where(indices[0] < 0, -1, indices[0] + t * step) for t in range(len(indices))]
        if step == 0 or any(not np.array_equal(a, b) for a, b in zip(moved, indices, strict=True)):
            return None
        window = _window(self.graph.types[source], indices[0], step)
        if window is None:
            return None
        kind, first = window
        name = self._declare(("window", nodes[0].output), source, kind, first, step)
        op = Rearrange(np.where(indices[0] < 0, -1, indices[0] - first).astype(np.int32), _fill(nodes[0]))
        return replace(nodes[0], op=op, inputs=(name,))


def _fill(node: Node) -> float:
    return node.op.fill if isinstance(node.op, Rearrange) else 0.0


def _window(source: TensorType, index: Array, step: int) -> tuple[TensorType, int] | None:
    """The smallest part of a tensor that holds the elements `index` and can move by `step`: type and first element."""
    first, last = int(index[index >= 0].min()), int(index.max())
    if source.storage != "bits":
        return TensorType((1, 1, last + 1 - first), source.storage), first
    if source.layout != "pixels":
        return None
    channels = source.shape[2]
    if step % channels == 0:
        pixel = first // channels
        return TensorType((1, last // channels + 1 - pixel, channels), "bits", source.planes), pixel * channels
    words = not any(n % 32 for n in (channels, first, last + 1, step)) and source.planes == 1
    return (TensorType((1, 1, last + 1 - first), "bits"), first) if words else None
