"""What the templates see: one `Layer` per operation that runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bnn2c import naming
from bnn2c.emit.arrays import ArrayPool
from bnn2c.ir import Cost, Graph, Node, Op, TensorType
from bnn2c.memory import Plan


@dataclass(frozen=True)
class Operand:
    """A C pointer expression and the type behind it."""

    ptr: str
    type: TensorType


@dataclass(frozen=True)
class Layer:
    """One call of the schedule.

    Attributes:
        index: layer number, as the hooks see it.
        id: C prefix of its declarations.
        op: the operation.
        name: name of the first ONNX node it computes, for comments and the report.
        const: C identifier of each constant array.
        params: what the operation tells its template.
        scratch: `uint32_t *` expression, or NULL.
    """

    index: int
    id: str
    op: Op
    name: str
    node: Node
    inputs: tuple[Operand, ...]
    output: Operand
    const: Mapping[str, str]
    params: Mapping[str, Any]
    scratch: str
    cost: Cost
    kernel: str
    headers: tuple[str, ...]

    def part(self, name: str, inputs: Sequence[Operand], ptr: str) -> Layer:
        """One of the operations that a composite operation consists of; its constants carry the part's name."""
        op: Op = getattr(self.op, name)
        types = [i.type for i in inputs]
        const = {k.removeprefix(f"{name}_"): v for k, v in self.const.items() if k.startswith(f"{name}_")}
        output = Operand(ptr, op.infer(types))
        params = op.params(types)
        return replace(self, op=op, id=f"{self.id}_{name}", inputs=tuple(inputs), output=output, const=const, params=params)

    @property
    def label(self) -> str:
        """Comment text: what the call computes."""
        return naming.comment(f"{self.op.kind}: {', '.join(self.node.origin) or self.name}")


def make_layers(graph: Graph, plan: Plan, prefix: str, pool: ArrayPool) -> list[Layer]:
    """Layers in execution order; reshapes that need no code are left out."""
    inputs = naming.unique([p.name for p in graph.inputs], "input")
    outputs = naming.unique([p.name for p in graph.outputs], "output")
    layers: list[Layer] = []
    for number, node in enumerate(graph.nodes):
        if node.output in plan.elided:
            continue
        types = graph.input_types(node)
        ident = f"{prefix}_l{len(layers)}"
        const = {key: pool.add(f"{ident}_{key}", data) for key, data in node.op.constants(types).items()}
        layers.append(
            Layer(
                index=len(layers),
                id=ident,
                op=node.op,
                name=node.origin[0] if node.origin else node.output,
                node=node,
                inputs=tuple(
                    Operand(_pointer(graph, plan, n, inputs, outputs, True), graph.types[n]) for n in node.inputs
                ),
                output=Operand(_pointer(graph, plan, node.output, inputs, outputs, False), graph.types[node.output]),
                const=const,
                params=node.op.params(types),
                scratch=_arena("uint32_t", plan.scratch[number]) if number in plan.scratch else "NULL",
                cost=node.op.cost(types),
                kernel=node.op.kernel(types),
                headers=node.op.headers(types),
            )
        )
    return layers


def _pointer(graph: Graph, plan: Plan, value: str, inputs: list[str], outputs: list[str], read: bool) -> str:
    """C expression for a value's address."""
    place, port, first = plan.places[value]
    kind = graph.types[value]
    if place == "arena":
        return _arena(f"const {kind.c_type}" if read else kind.c_type, first)
    name = f"in->{inputs[port]}" if place == "input" else f"out->{outputs[port]}"
    return f"&{name}[{first * kind.size // kind.nbytes}]" if first else name


def _arena(c_type: str, offset: int) -> str:
    const = "const " if c_type.startswith("const ") else ""
    return f"({c_type} *)({const}void *)&arena_bytes[{offset}]"
