"""The integer graph while it is built, and what the rules for its operations ask of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bnn2c.expr import Arg
from bnn2c.fixed_point.bounds import bounds_of
from bnn2c.fixed_point.calibrate import Calibration
from bnn2c.fixed_point.clamped import Clamped
from bnn2c.fixed_point.expressions import compile_expression
from bnn2c.fixed_point.formats import Format, NotFixed, Number
from bnn2c.ir import Graph, Node, Op, TensorType
from bnn2c.ops.fixed_map import FixedMap


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
    number = Number(-1, given.scale, -given.reach if given.low < 0 else 0, given.high)
    program = compile_expression(Arg(0), kind.shape, [number], {}, wanted)
    return FixedMap(program, kind.shape, wanted.storage)
