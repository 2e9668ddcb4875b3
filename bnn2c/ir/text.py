"""The text form of a graph, for `--dump-ir` and for tests of passes."""

from __future__ import annotations

from bnn2c.ir.graph import Graph


def to_text(graph: Graph) -> str:
    """One line per value: `name: type = op(inputs) {attributes}`."""
    lines = [f"graph {graph.name}"]
    lines += [f"  input {p.value}: {graph.types[p.value]}  # {p.name} {p.dtype}{list(p.shape)}" for p in graph.inputs]
    for node in graph.nodes:
        attributes = node.op.describe()
        lines.append(
            f"  {node.output}: {graph.types[node.output]} = {node.op.kind}({', '.join(node.inputs)})"
            + (f" {{{attributes}}}" if attributes else "")
        )
        body = getattr(node.op, "body", None)
        lines += ["    " + line for line in to_text(body).splitlines()] if isinstance(body, Graph) else []
    lines += [f"  output {p.value}  # {p.name} {p.dtype}{list(p.shape)}" for p in graph.outputs]
    return "\n".join(lines) + "\n"
