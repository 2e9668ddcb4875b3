"""Warnings about a compiled network as a whole: what looks wrong, what costs more than expected."""

from __future__ import annotations

from collections.abc import Iterator

from bnn2c.errors import Diagnostic, plural
from bnn2c.ir import Graph
from bnn2c.ops.sign_conv2d import SignedSums
from bnn2c.soft_float import soft_float_instructions
from bnn2c.targets import Target


def advice(graph: Graph, target: Target) -> list[Diagnostic]:
    """All warnings about a lowered graph."""
    return [*_independent_outputs(graph), *_real_inputs(graph), *_soft_float(graph, target)]


def _independent_outputs(graph: Graph) -> Iterator[Diagnostic]:
    """Outputs that no input reaches: exporters write such graphs when they drop a quantiser or fold too much."""
    reached = {port.value for port in graph.inputs}
    for node in graph.nodes:
        if reached & set(node.inputs):
            reached.add(node.output)
    for port in graph.outputs:
        if port.value not in reached:
            message = f"output {port.name} is the same for every input"
            hint = "look for a quantiser behind Relu, all-zero weights or a constant folded by the exporter"
            yield Diagnostic("BNN016", message, node=port.name, hint=hint, severity="warning")


def _real_inputs(graph: Graph) -> Iterator[Diagnostic]:
    """Two-valued weights whose input is real: additions, but no XNOR."""
    for node in graph.nodes:
        conv = getattr(node.op, "conv", node.op)
        if isinstance(conv, SignedSums):
            name = node.origin[0] if node.origin else node.output
            message = "weights are two-valued but the input is not: additions instead of XNOR and popcount"
            hint = "for 8-bit inputs, --input-scale makes this layer integer arithmetic"
            why = node.why[-1] if node.why else ""
            yield Diagnostic("BNN012", message, node=name, op=conv.kind, why=why, hint=hint, severity="warning")


def _soft_float(graph: Graph, target: Target) -> Iterator[Diagnostic]:
    """Float arithmetic on a core without an FPU: how much of it, and which layer has most."""
    layers = soft_float_instructions(graph, target) if target.fpu == "none" else {}
    if layers:
        node = max((n for n in graph.nodes if n.output in layers), key=lambda n: layers[n.output])
        total, most = sum(layers.values()), layers[node.output]
        message = f"{plural(len(layers), 'layer')} computed in software floating point on {target.name}"
        why = f"about {_rounded(total)} instructions for one inference, {_rounded(most)} of them in this layer"
        hint = "--real int16 --calibrate vectors.npz computes in integers"
        name = node.origin[0] if node.origin else node.output
        yield Diagnostic("BNN024", message, node=name, op=node.op.kind, why=why, hint=hint, severity="warning")


def _rounded(count: int) -> str:
    """A prediction, to two digits."""
    unit = 10 ** max(0, len(str(count)) - 2)
    return f"{round(count / unit) * unit:,}"
