"""What the templates see: one `Layer` per operation that runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bnn2c import naming
from bnn2c.emit.arrays import ArrayPool
from bnn2c.ir import Cost, Graph, Node, Op, TensorType
from bnn2c.memory import Plan
from bnn2c.ops.loop import Loop

MAX_NAMES = 12


@dataclass(frozen=True)
class Operand:
    """A C pointer expression and the type behind it."""

    ptr: str
    type: TensorType

    def named(self, ptr: str) -> Operand:
        """The same behind another pointer."""
        return Operand(ptr, self.type)


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
        cost: its work, and the bytes of the constants that it adds to those of the layers before.
        body: the layers that a loop repeats.
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
    body: tuple[Layer, ...] = ()

    def part(
        self, name: str, inputs: Sequence[Operand], ptr: str, op: Op | None = None, scratch: str | None = None
    ) -> Layer:
        """One of the operations that a composite operation consists of; its constants carry the part's name."""
        op = op or getattr(self.op, name)
        types = [i.type for i in inputs]
        const = {k.removeprefix(f"{name}_"): v for k, v in self.const.items() if k.startswith(f"{name}_")}
        output = Operand(ptr, op.infer(types))
        params = op.params(types)
        ident = f"{self.id}_{name}"
        made = replace(self, op=op, id=ident, inputs=tuple(inputs), output=output, const=const, params=params)
        return replace(made, scratch=scratch or self.scratch)

    def named(self, ident: str) -> Layer:
        """The same with parameters of another name."""
        return replace(self, id=ident)

    def frame(self, number: str, kinds: Sequence[TensorType], apart: Sequence[int]) -> list[Operand]:
        """Operands and output of frame `number`, a C expression: their types, and how far frames lie apart."""
        operands = [*self.inputs[: len(kinds) - 1], self.output]
        return [
            Operand(f"&({o.ptr})[{number} * {step}u]" if number else o.ptr, kind)
            for o, kind, step in zip(operands, kinds, apart, strict=True)
        ]

    @property
    def output_name(self) -> str:
        """The value that it writes."""
        return self.node.output

    @property
    def real(self) -> bool:
        """Whether it reads or writes real numbers, or its body does."""
        tensors = (*self.inputs, self.output)
        return any(t.type.c_type == "float" for t in tensors) or any(inner.real for inner in self.body)

    @property
    def label(self) -> str:
        """Comment text: what the call computes; the names of many nodes are left to the manifest."""
        shown = self.node.origin[:MAX_NAMES]
        more = len(self.node.origin) - len(shown)
        names = ", ".join(shown) + (f" and {more} more" if more else "")
        return naming.comment(f"{self.op.kind}: {names or self.name}")


def make_layers(graph: Graph, plan: Plan, prefix: str, pool: ArrayPool) -> list[Layer]:
    """Layers in execution order; reshapes that need no code are left out."""
    inputs = [f"in->{name}" for name in naming.unique([p.name for p in graph.inputs], "input")]
    outputs = [f"out->{name}" for name in naming.unique([p.name for p in graph.outputs], "output")]
    return _Maker(graph, plan, {"input": inputs, "output": outputs}, pool).layers(f"{prefix}_l")


@dataclass(frozen=True)
class _Maker:
    """Makes the layers of a graph whose inputs and outputs have the C names `ports`."""

    graph: Graph
    plan: Plan
    ports: Mapping[str, Sequence[str]]
    pool: ArrayPool

    def layers(self, prefix: str) -> list[Layer]:
        """All layers; their identifiers are the prefix and a number."""
        running = [k for k, node in enumerate(self.graph.nodes) if node.output not in self.plan.elided]
        return [self._layer(number, index, f"{prefix}{index}") for index, number in enumerate(running)]

    def _layer(self, number: int, index: int, ident: str) -> Layer:
        node, graph = self.graph.nodes[number], self.graph
        types, name = graph.input_types(node), node.origin[0] if node.origin else node.output
        offset, stored = self.plan.scratch.get(number), self.pool.nbytes
        constants = node.op.constants(types).items()
        const = {key: self.pool.add(f"{ident}_{key}", data, f"{name}: {key}") for key, data in constants}
        body = self._body(node.op, ident) if isinstance(node.op, Loop) else ()
        return Layer(
            index=index,
            id=ident,
            op=node.op,
            name=name,
            node=node,
            inputs=tuple(Operand(self._pointer(n, True), graph.types[n]) for n in node.inputs),
            output=Operand(self._pointer(node.output, False), graph.types[node.output]),
            const=const,
            params=node.op.params(types),
            scratch="NULL" if offset is None else _arena("uint32_t", offset),
            cost=replace(node.op.cost(types), weight_bytes=self.pool.nbytes - stored),
            kernel=node.op.kernel(types),
            headers=node.op.headers(types),
            body=body,
        )

    def _body(self, loop: Loop, ident: str) -> tuple[Layer, ...]:
        """The layers of a loop; its operands are the pointers x0 … and y0 …."""
        names = {
            "input": [f"x{k}" for k in range(len(loop.body.inputs))],
            "output": [f"y{k}" for k in range(len(loop.body.outputs))],
        }
        return tuple(_Maker(loop.body, loop.plan, names, self.pool).layers(f"{ident}_"))

    def _pointer(self, value: str, read: bool) -> str:
        """C expression for a value's address."""
        place, port, first = self.plan.places[value]
        kind = self.graph.types[value]
        if place == "arena":
            return _arena(f"const {kind.c_type}" if read else kind.c_type, first)
        name = self.ports[place][port]
        return f"&{name}[{first // kind.element_bytes}]" if first else name


def _arena(c_type: str, offset: int) -> str:
    const = "const " if c_type.startswith("const ") else ""
    return f"({c_type} *)({const}void *)&arena_bytes[{offset}]"
