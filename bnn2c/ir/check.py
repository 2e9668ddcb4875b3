"""Structural verification of a graph between two passes."""

from __future__ import annotations

from bnn2c.ir.graph import Graph


def ir_check(graph: Graph) -> None:
    """Verify names, order and types.

    Raises:
        AssertionError: a pass broke the graph; the message names the value. This is a bug in bnn2c, never the user's
            fault.
    """
    known = {port.value for port in graph.inputs}
    for node in graph.nodes:
        missing = [name for name in node.inputs if name not in known]
        if missing:
            raise AssertionError(f"{node.output}: input {missing[0]} is not defined before its use")
        if node.output in known:
            raise AssertionError(f"{node.output} is defined twice")
        inferred = node.op.infer(graph.input_types(node))
        if inferred != graph.types[node.output]:
            raise AssertionError(f"{node.output}: type {graph.types[node.output]}, its op says {inferred}")
        known.add(node.output)
    for port in graph.outputs:
        if port.value not in known:
            raise AssertionError(f"output {port.name}: value {port.value} is not defined")
