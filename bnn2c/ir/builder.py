"""A mutable graph under construction; used by the importer and by passes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bnn2c.ir.graph import Graph, Node, Port
from bnn2c.ir.op import Op
from bnn2c.ir.types import TensorType


class Builder:
    """Collects nodes with unique value names and inferred types."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.types: dict[str, TensorType] = {}
        self.nodes: list[Node] = []
        self.inputs: list[Port] = []
        self.outputs: list[Port] = []
        self._numbers: dict[str, int] = {}

    def fresh(self, hint: str) -> str:
        """An unused value name that resembles `hint`."""
        base = re.sub(r"\W+", "_", hint).strip("_")[:60] or "value"
        name = base
        while name in self.types:
            self._numbers[base] = self._numbers.get(base, 0) + 1
            name = f"{base}_{self._numbers[base]}"
        return name

    def add_input(self, port: Port, kind: TensorType) -> None:
        """Declare a graph input."""
        self.inputs.append(port)
        self.types[port.value] = kind

    def emit(
        self, op: Op, inputs: Sequence[str], hint: str, origin: Sequence[str] = (), why: Sequence[str] = ()
    ) -> str:
        """Append a node and return the name of its output."""
        name = self.fresh(hint)
        self.types[name] = op.infer([self.types[i] for i in inputs])
        self.nodes.append(Node(name, op, tuple(inputs), tuple(dict.fromkeys(origin)), tuple(why)))
        return name

    def build(self) -> Graph:
        """The finished graph without nodes that no output needs."""
        live = {port.value for port in self.outputs}
        kept = []
        for node in reversed(self.nodes):
            if node.output in live:
                kept.append(node)
                live.update(node.inputs)
        names = live | {port.value for port in self.inputs}
        types = {name: kind for name, kind in self.types.items() if name in names}
        return Graph(self.name, tuple(self.inputs), tuple(self.outputs), tuple(reversed(kept)), types)
