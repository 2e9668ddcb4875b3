"""Graphs: nodes in topological order, typed values, and their execution in numpy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType

NUMPY_TYPES = {"f32": np.float32, "i32": np.int32, "i16": np.int16, "i8": np.int8, "u8": np.uint8, "bits": np.uint8}


@dataclass(frozen=True)
class Port:
    """A graph input or output.

    Attributes:
        name: the ONNX tensor name.
        value: the IR value; its physical order is the C order of `shape`.
        shape: the ONNX shape with batch 1.
        dtype: element type the C caller sees: float32, uint8, int8, int16, int32 or bool.
        scale: real = scale * value of a fixed-point output; None for others.
        unsigned: an input whose ONNX type has no negative numbers, whatever `dtype` has.
    """

    name: str
    value: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    unsigned: bool = False


@dataclass(frozen=True)
class Node:
    """`output = op(*inputs)`; `origin` names the ONNX nodes it computes, `why` the facts that led to its form."""

    output: str
    op: Op
    inputs: tuple[str, ...]
    origin: tuple[str, ...] = ()
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """A whole network between two stages of the compiler."""

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    nodes: tuple[Node, ...]
    types: Mapping[str, TensorType] = field(default_factory=dict)

    def consumers(self) -> dict[str, list[Node]]:
        """Nodes that read each value, in order."""
        found: dict[str, list[Node]] = {name: [] for name in self.types}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found[name].append(node)
        return found

    def reads(self) -> dict[str, int]:
        """How many nodes read each value; an output counts as one more."""
        found = {name: len(nodes) for name, nodes in self.consumers().items()}
        for port in self.outputs:
            found[port.value] += 1
        return found

    def input_types(self, node: Node) -> list[TensorType]:
        """Types of a node's inputs."""
        return [self.types[name] for name in node.inputs]


def origins(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The ONNX nodes that some nodes compute together, each once."""
    return tuple(dict.fromkeys(name for node in nodes for name in node.origin))


def execute(graph: Graph, feeds: Sequence[Array], keep: bool = False) -> dict[str, Array]:
    """Run the graph in numpy.

    Args:
        graph: any stage of the compiler.
        feeds: one array per input port, in the C order of the port's shape.
        keep: keep every value instead of the outputs only.

    Returns:
        value name -> array of the physical shape.
    """
    values: dict[str, Array] = {}
    for port, feed in zip(graph.inputs, feeds, strict=True):
        kind = graph.types[port.value]
        values[port.value] = np.asarray(feed).reshape(kind.shape).astype(NUMPY_TYPES[kind.storage])
    for node in graph.nodes:
        values[node.output] = node.op.reference(*(values[name] for name in node.inputs))
    wanted = values.keys() if keep else {port.value for port in graph.outputs}
    return {name: values[name] for name in wanted}


def outputs(graph: Graph, feeds: Sequence[Array]) -> list[Array]:
    """The graph's outputs in their ONNX shapes."""
    values = execute(graph, feeds)
    return [values[port.value].reshape(port.shape) for port in graph.outputs]
