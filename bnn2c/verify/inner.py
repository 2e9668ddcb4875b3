"""What the C decides inside of a network: its graph, compiled once more with these decisions as further outputs.

The kernels and what they are given are the same, and so is every rounding of a target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bnn2c.ir import Graph, Node, Port
from bnn2c.ops.level_values import LevelValues
from bnn2c.toolchain.errors import DoesNotFit
from bnn2c.verify.bounded import Array
from bnn2c.verify.vectors import Vectors
from bnn2c.verify.visible import decided, decision_site

if TYPE_CHECKING:
    from bnn2c.pipeline import Compiled
    from bnn2c.toolchain import ObjectSizes, TargetRun

__all__ = ["Inner", "Runner", "show_decisions"]

Runner = Callable[["Compiled", str, Vectors], tuple["TargetRun", "ObjectSizes"]]
_DTYPES = {"f32": "float32", "u8": "uint8", "i8": "int8", "i16": "int16", "i32": "int32"}


class Inner:
    """The C on one target; it is built and run again when the first sample is asked for."""

    def __init__(self, compiled: Compiled, target: str, vectors: Vectors, run: Runner) -> None:
        """Keep what is built and executed, and who does that."""
        self._compiled = compiled
        self._target = target
        self._vectors = vectors
        self._run = run
        self._found: list[list[Array]] | None = None

    def decided(self, graph: Graph, sample: int, outputs: Sequence[Array]) -> dict[str, Array]:
        """Site -> results, flat float64, NaN where unknown, as for `Follow`.

        Nothing is known about a network that runs step by step, nor where there is no room for all decisions on the
        target, or other outputs come with them.

        Args:
            graph: what the C executes, without loops.
            sample: its number.
            outputs: what the C gave.
        """
        shown = show_decisions(graph)
        if self._found is None:
            self._found = self._executed(shown)
        if not self._found:
            return {}
        found = self._found[sample]
        if not all(np.array_equal(np.ravel(a), np.ravel(b)) for a, b in zip(found, outputs, strict=False)):
            return {}
        known = {
            port.value: np.ravel(array).astype(np.float64) for port, array in zip(shown.outputs, found, strict=True)
        }
        return decided(shown, known)

    def _executed(self, shown: Graph) -> list[list[Array]]:
        """All outputs per sample; empty where they cannot be had."""
        from bnn2c.pipeline import compile_graph  # which imports this package

        if self._compiled.options.stream is not None or self._compiled.options.states:
            return []
        try:
            run, _ = self._run(compile_graph(self._compiled, shown), self._target, self._vectors)
            return run.outputs
        except DoesNotFit:
            return []


def show_decisions(graph: Graph) -> Graph:
    """The graph with the result of every decision that is no output yet as an output; packed codes become bytes."""
    types, nodes, ports = dict(graph.types), list(graph.nodes), list(graph.outputs)
    taken = {port.value for port in ports}
    for node in graph.nodes:
        kind = types[node.output]
        if decision_site(node) is None or node.output in taken or kind.layout != "pixels":
            continue
        value = node.output
        if kind.storage == "bits":
            value = f"{node.output}/code"
            op = LevelValues(np.arange(1 << kind.planes)[None], "u8")
            types[value] = op.infer([kind])
            nodes.append(Node(value, op, (node.output,), node.origin))
        ports.append(Port(f"decision {len(ports)}", value, kind.shape, _DTYPES[types[value].storage]))
    return replace(graph, nodes=tuple(nodes), types=types, outputs=tuple(ports))
