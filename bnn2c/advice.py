"""Warnings about a compiled network as a whole: what looks wrong, what costs more than expected."""

from __future__ import annotations

from collections.abc import Iterator

from bnn2c.errors import Diagnostic, plural
from bnn2c.ir import Graph
from bnn2c.ops.sign_conv2d import SignedSums
from bnn2c.targets import Target

# Instructions of a float32 multiplication and addition by libgcc, as QEMU counts them in dense layers: 86 to 91 on a
# Cortex-M3, 184 to 195 on a Cortex-M0 and RV32.
_SOFT_FLOAT_MACS = {"cortex-m3": 90}
_SOFT_FLOAT_MAC = 190


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
    """Float tensors on a core without an FPU."""
    real = [node for node in graph.nodes if graph.types[node.output].storage == "f32"]
    if target.fpu == "none" and real and target.name != "portable":
        elements = sum(graph.types[node.output].size for node in real)
        message = f"float values computed in software on {target.name}: {elements} in {plural(len(real), 'layer')}"
        products = sum(node.op.cost(graph.input_types(node)).real_macs for node in real)
        each = _SOFT_FLOAT_MACS.get(target.name, _SOFT_FLOAT_MAC)
        why = f"real products and sums: {products}, about {each} instructions each" if products else ""
        hint = "--real int16 --calibrate vectors.npz computes in integers"
        yield Diagnostic("BNN024", message, node=real[0].output, why=why, hint=hint, severity="warning")
