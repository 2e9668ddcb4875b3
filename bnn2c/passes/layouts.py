"""Which values of a graph can lie in bit planes, and what converting between planes and packed pixels costs."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from bnn2c.ir import Graph, Node, TensorType
from bnn2c.ops.frame_classes import FrameClasses
from bnn2c.ops.history import History
from bnn2c.ops.rearrange import Rearrange

# Instructions of transposing as many blocks of 32 x 32 bits at once as a vector has words: counted in layer C, on the
# kind of core where it takes most (runtime_c/bnn2c_bit_layouts.h).
TRANSPOSE = {1: 1800, 2: 3100, 4: 2350, 8: 2800}


def is_turned(node: Node, types: Mapping[str, TensorType]) -> bool:
    """Whether a node is a transposition that planes spare."""
    if not isinstance(node.op, Rearrange):
        return False
    kind = types[node.inputs[0]]
    return (kind.storage, kind.planes) == ("bits", 1) and node.op.transposes(kind.shape)


@dataclass(frozen=True)
class Layouts:
    """A graph whose binary layers have no families yet, for vectors of `lane_words` words."""

    graph: Graph
    lane_words: int

    @cached_property
    def _made(self) -> dict[str, Node]:
        return {node.output: node for node in self.graph.nodes}

    @cached_property
    def _readers(self) -> dict[str, list[str]]:
        """Outputs of the nodes that read a value; `FrameClasses` only waits for it."""
        read = self.graph.consumers().items()
        return {name: [n.output for n in nodes if not isinstance(n.op, FrameClasses)] for name, nodes in read}

    @cached_property
    def _turned(self) -> set[str]:
        return {node.output for node in self.graph.nodes if is_turned(node, self.graph.types)}

    @cached_property
    def _whole(self) -> list[Node]:
        """Nodes that keep frames of one plane in one piece."""
        return [node for node in self.graph.nodes if self._keeps_planes(node)]

    def _keeps_planes(self, node: Node) -> bool:
        kind = self.graph.types[node.output]
        if type(node.op) is not History or kind.storage != "bits" or kind.planes > 1:
            return False
        return node.op.axis < 2 and prod(kind.shape[: node.op.axis]) == 1

    def kept(self, chosen: Container[str]) -> set[str]:
        """Frames that are kept for layers of which all want bit planes."""
        readers = {node.output: self._readers[node.output] for node in self._whole}
        return {name for name, found in readers.items() if found and all(reader in chosen for reader in found)}

    def conversions(self, name: str, chosen: set[str]) -> int:
        """Instructions of the conversions that layer `name` needs when the layers `chosen` work on planes."""
        kept, source = self.kept(chosen), self._made[name].inputs[0]
        if source in kept:
            source = self._made[source].inputs[0]
        planes = chosen | self._turned
        before = 0 if source in planes else self._conversion(source)
        after = any(reader not in planes and reader not in kept for reader in self._readers[name])
        return before + (self._conversion(name) if after else 0)

    def _conversion(self, value: str) -> int:
        """Instructions of one: blocks along the longer side share a vector, but a ragged one is alone."""
        height, width, channels = self.graph.types[value].shape
        short, long = sorted((height * width, channels))
        calls = -(-(long // 32) // self.lane_words) + (long % 32 > 0)
        return TRANSPOSE[self.lane_words] * calls * -(-short // 32)
