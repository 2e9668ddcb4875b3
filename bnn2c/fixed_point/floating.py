"""Float inputs that are only compared: they stay float, because a comparison of the original number is exact."""

from __future__ import annotations

from bnn2c.ir import Graph, Node
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.rearrange import Rearrange

COPIES = (MaxPool, Rearrange)


def stays_float(graph: Graph) -> set[str]:
    """Float graph inputs, and copies of them, that nothing but thresholds reads."""
    readers = graph.consumers()
    reached = {p.value for p in graph.inputs if graph.types[p.value].storage == "f32"}
    for node in graph.nodes:
        if isinstance(node.op, COPIES) and node.inputs[0] in reached:
            reached.add(node.output)
    ends = {p.value for p in graph.outputs}
    found: set[str] = set()
    for node in reversed(graph.nodes):
        if node.output in reached and _only_compared(readers[node.output], found) and node.output not in ends:
            found.add(node.output)
    for port in graph.inputs:
        if port.value in reached and _only_compared(readers[port.value], found):
            found.add(port.value)
    return found


def _only_compared(readers: list[Node], found: set[str]) -> bool:
    return all(isinstance(node.op, Quantize) or node.output in found for node in readers)
