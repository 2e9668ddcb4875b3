"""The pass: every float32 operation of a lowered graph becomes an integer operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bnn2c.expr import Apply, Arg
from bnn2c.fixed_point.bounds import bounds_of
from bnn2c.fixed_point.calibrate import Calibration
from bnn2c.fixed_point.choose_formats import decisive
from bnn2c.fixed_point.clamped import Clamped, fusable
from bnn2c.fixed_point.floating import COPIES
from bnn2c.fixed_point.formats import Format, NotFixed, Number
from bnn2c.ir import Graph, Node, Op, TensorType
from bnn2c.ops.map import Map
from bnn2c.ops.to_fixed import ToFixed

DTYPES = {"i16": "int16", "i8": "int8", "u8": "uint8"}


@dataclass
class Rewriter:
    """The graph being built.

    Attributes:
        source: the float graph.
        calibration: ranges of its values.
        formats: of every float32 value; values that stay float are missing.
        real: int16 or int8.
        nodes, types: the new graph.
        alias: values that are another value already: name -> (value, its format).
        kept: operations that stay in float, with the reason.
        fused: elementwise operations that a convolution does.
        decisive: values from which a threshold can be reached.
        members: how many values share the format of each.
    """

    source: Graph
    calibration: Calibration
    formats: dict[str, Format]
    real: str
    nodes: list[Node] = field(default_factory=list)
    types: dict[str, TensorType] = field(default_factory=dict)
    alias: dict[str, tuple[str, Format]] = field(default_factory=dict)
    kept: list[tuple[Node, str]] = field(default_factory=list)
    fused: dict[str, tuple[Node, Clamped]] = field(default_factory=dict)
    decisive: set[str] = field(default_factory=set)
    members: dict[str, int] = field(default_factory=dict)

    def emit(self, output: str, op: Op, inputs: tuple[str, ...], node: Node | None = None) -> str:
        """Append an operation; returns its output."""
        self.types[output] = op.infer([self.types[name] for name in inputs])
        origin, why = (node.origin, node.why) if node is not None else ((), ())
        self.nodes.append(Node(output, op, inputs, origin, why))
        return output

    def operand(self, name: str) -> tuple[str, Format]:
        """The integer value of a float value of the source, and its format."""
        if name in self.alias:
            return self.alias[name]
        if name not in self.formats:
            raise NotFixed(f"{name} is not an integer tensor")
        return name, self.formats[name]

    def number(self, name: str) -> tuple[str, Number]:
        """Any operand of an elementwise operation as an integer with bounds."""
        if self.source.types[name].storage == "f32":
            value, given = self.operand(name)
            low = -given.reach if given.low < 0 else 0
            return value, Number(-1, given.scale, low, given.high)
        low, high = bounds_of(self.source, name)
        first, last = self.calibration.integers.get(name, (low, high))
        return name, Number(-1, 1.0, low, high, (first + last) // 2, (last - first + 1) // 2)

    def settle(self, node: Node, op: Op, inputs: tuple[str, ...], given: Format) -> None:
        """Emit an operation whose result has a format of its own; convert it when others share the value's format."""
        wanted = self.formats[node.output]
        if self.members.get(node.output, 1) == 1:
            self.formats[node.output] = given
            self.emit(node.output, op, inputs, node)
            return
        own = self.emit(f"{node.output}_own", op, inputs, node)
        self.emit(node.output, rescaled(self.types[own], given, wanted), (own,), node)


Rule = Callable[[Rewriter, Node, Any], None]


def rescaled(kind: TensorType, given: Format, wanted: Format) -> Op:
    """An elementwise change of format."""
    from bnn2c.fixed_point.expressions import compile_expression
    from bnn2c.ops.fixed_map import FixedMap

    number = Number(-1, given.scale, -given.reach if given.low < 0 else 0, given.high)
    program = compile_expression(Arg(0), kind.shape, [number], {}, wanted)
    return FixedMap(program, kind.shape, wanted.storage)


def rewrite(
    graph: Graph, calibration: Calibration, formats: dict[str, Format], real: str
) -> tuple[Graph, dict[str, Format], list[tuple[Node, str]]]:
    """Rewrite the graph.

    Returns:
        the integer graph, the formats of its real values, and the operations that stayed in float, with the reason.
    """
    from bnn2c.fixed_point.rules import RULES

    work = Rewriter(graph, calibration, dict(formats), real, fused=fusable(graph))
    work.decisive, work.members = decisive(graph), _sharing(formats)
    _inputs(work)
    absorbed = {source.output for source, _ in work.fused.values()}
    for node in graph.nodes:
        if node.output in absorbed:
            continue
        if not _real(work, node):
            work.emit(node.output, node.op, node.inputs, node)
            continue
        rule: Rule | None = RULES.get(type(node.op))
        before = len(work.nodes)
        try:
            if rule is None:
                raise NotFixed(f"{node.op.kind} has no fixed-point form")
            rule(work, node, node.op)
        except NotFixed as reason:
            del work.nodes[before:]
            _in_float(work, node, str(reason))
    ports = tuple(_output(work, port) for port in graph.outputs)
    return replace(graph, outputs=ports, nodes=tuple(work.nodes), types=work.types), work.formats, work.kept


def _sharing(formats: dict[str, Format]) -> dict[str, int]:
    """How many values have the same format object."""
    counts: dict[int, int] = {}
    for found in formats.values():
        counts[id(found)] = counts.get(id(found), 0) + 1
    return {name: counts[id(found)] for name, found in formats.items()}


def _real(work: Rewriter, node: Node) -> bool:
    """Whether a float value that becomes an integer takes part, or a float expression of integers."""
    names = (*node.inputs, node.output)
    if isinstance(node.op, (Map, *COPIES)) and node.output not in work.formats:
        return work.source.types[node.output].storage != "f32"  # a copy that stays float reads the float input
    return any(name in work.formats or name in work.alias for name in names)


def _inputs(work: Rewriter) -> None:
    """Float inputs are converted once; integer ones stay."""
    for port in work.source.inputs:
        kind = work.source.types[port.value]
        work.types[port.value] = kind
        found = work.formats.get(port.value)
        if found is not None:
            op = ToFixed(float(np.float32(1.0 / found.scale)), found.storage)
            name = work.emit(f"{port.value}_fixed", op, (port.value,))
            work.alias[port.value] = (name, found)


def _in_float(work: Rewriter, node: Node, reason: str) -> None:
    """Keep an operation in float32, between conversions."""
    work.kept.append((node, reason))
    group = [work.fused[node.output][0], node] if node.output in work.fused else [node]
    for one in group:
        inputs = tuple(_float(work, name) for name in one.inputs)
        work.emit(f"{one.output}_float", one.op, inputs, one)
        work.types[f"{one.output}_float"] = work.source.types[one.output]
    found = work.formats.get(node.output)
    if found is None:
        last = work.nodes.pop()
        work.types.pop(last.output)
        work.emit(node.output, node.op, last.inputs, node)
        return
    work.emit(
        node.output, ToFixed(float(np.float32(1.0 / found.scale)), found.storage), (f"{node.output}_float",), node
    )


def _float(work: Rewriter, name: str) -> str:
    """The value as float32; integers of the source stay as they are."""
    done = f"{name}_float"
    if work.source.types[name].storage != "f32" or done in work.types:
        return done if done in work.types else name
    if name not in work.formats and name not in work.alias:
        return name
    value, given = work.operand(name)
    expr = Apply("dequant", (Arg(0),), (given.scale, 0.0))
    return work.emit(done, Map(expr, work.types[value].shape), (value,))


def _output(work: Rewriter, port: Any) -> Any:  # noqa: ANN401 - a Port
    """Real outputs are integers with a scale."""
    found = work.formats.get(port.value)
    if found is None:
        return port
    return replace(port, dtype=DTYPES[found.storage], scale=float(np.float32(found.scale)))
