"""Write loops out step by step: the inverse of `roll_loops`, for those who examine every value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.ir import Graph, Node, TensorType
from bnn2c.ops.concat import Concat
from bnn2c.ops.loop import Loop
from bnn2c.ops.rearrange import Rearrange


def unroll_loops(graph: Graph) -> Graph:
    """A graph without loops that computes the same numbers in the same order."""
    types = dict(graph.types)
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += _Unrolled(node, node.op, types).nodes if isinstance(node.op, Loop) else [node]
    return replace(graph, nodes=tuple(nodes), types=types)


class _Unrolled:
    """The nodes of one loop; adds their types to `types`."""

    def __init__(self, node: Node, loop: Loop, types: dict[str, TensorType]) -> None:
        self.node, self.loop, self.types = node, loop, types
        self.nodes: list[Node] = []
        made: list[list[str]] = []
        for t in range(loop.steps):
            made.append(self._step(t, made[-1] if made else []))
        wanted = [made[t][r.output] for r in loop.results for t in (range(loop.steps) if r.stacked else [-1])]
        self._join(wanted)

    def _emit(self, name: str, op: Loop | Concat | Rearrange, inputs: list[str]) -> str:
        self.types[name] = op.infer([self.types[i] for i in inputs])
        self.nodes.append(Node(name, op, tuple(inputs), self.node.origin))
        return name

    def _step(self, t: int, states: list[str]) -> list[str]:
        """One copy of the body; returns the names of its outputs."""
        body = self.loop.body
        names = {p.value: self._fed(k, t, states) for k, p in enumerate(body.inputs)}
        for inner in body.nodes:
            names[inner.output] = f"{self.node.output}/{t}/{inner.output}"
            self.types[names[inner.output]] = body.types[inner.output]
            inputs = tuple(names[i] for i in inner.inputs)
            self.nodes.append(replace(inner, output=names[inner.output], inputs=inputs))
        return [names[p.value] for p in body.outputs]

    def _fed(self, number: int, t: int, states: list[str]) -> str:
        feed, operand = self.loop.feeds[number], self.node.inputs[number]
        window = self.loop.windows[number]
        if feed.carried is not None and t > 0:
            return states[feed.carried]
        if self.types[operand] == window:
            return operand
        index = feed.start + feed.step * t + np.arange(window.size, dtype=np.int32).reshape(window.shape)
        return self._emit(f"{self.node.output}/{t}/window{number}", Rearrange(index), [operand])

    def _join(self, parts: list[str]) -> None:
        """The loop's own value: the kept results in one run."""
        kind = self.types[self.node.output]
        axis = 0 if kind.storage == "bits" else 2
        flat = []
        for number, name in enumerate(parts):
            size = self.types[name].size
            shape = (size // kind.shape[2], 1, kind.shape[2]) if axis == 0 else (1, 1, size)
            index = np.arange(size, dtype=np.int32).reshape(shape)
            flat.append(self._emit(f"{self.node.output}/part{number}", Rearrange(index), [name]))
        self._emit(self.node.output, Concat(axis), flat)
