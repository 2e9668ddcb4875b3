"""The pass: every float32 operation of a lowered graph becomes an integer operation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.expr import Apply, Arg
from bnn2c.fixed_point.calibrate import Calibration
from bnn2c.fixed_point.choose_formats import decisive
from bnn2c.fixed_point.clamped import fusable
from bnn2c.fixed_point.floating import COPIES
from bnn2c.fixed_point.formats import Format, NotFixed
from bnn2c.fixed_point.rewriter import Rewriter, Rule
from bnn2c.fixed_point.rules import RULES
from bnn2c.ir import Graph, Node, Port
from bnn2c.ops.map import Map
from bnn2c.ops.to_fixed import ToFixed

DTYPES = {"i16": "int16", "i8": "int8", "u8": "uint8"}


def rewrite(
    graph: Graph, calibration: Calibration, formats: dict[str, Format], real: str
) -> tuple[Graph, dict[str, Format], list[tuple[Node, str]]]:
    """Rewrite the graph.

    Returns:
        the integer graph, the formats of its real values, and the operations that stayed in float, with the reason.
    """
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


def _output(work: Rewriter, port: Port) -> Port:
    """Real outputs are integers with a scale."""
    found = work.formats.get(port.value)
    if found is None:
        return port
    return replace(port, dtype=DTYPES[found.storage], scale=float(np.float32(found.scale)))
