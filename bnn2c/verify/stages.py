"""The network at each stage that `verify` compares: reference, imported graph, final graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from bnn2c.importer import import_graph, load_model
from bnn2c.importer.interpreter import Trace
from bnn2c.importer.tensors import Value, View
from bnn2c.ir import Graph
from bnn2c.passes.unroll_loops import unroll_loops
from bnn2c.verify.bodies import show_bodies
from bnn2c.verify.bounded import Array
from bnn2c.verify.compare import Tolerance, close
from bnn2c.verify.reference import Reference, ReferenceFailed
from bnn2c.verify.visible import decided

if TYPE_CHECKING:
    from bnn2c.pipeline import Compiled

__all__ = ["Stages"]


class Stages:
    """Made when they are needed, which is when something differs."""

    def __init__(self, compiled: Compiled, path: Path) -> None:
        """Keep the result of a compilation and the ONNX file it was made from."""
        self._compiled = compiled
        self._path = path

    @cached_property
    def final(self) -> Graph:
        """The graph that the C code executes, every step of a loop by itself: each may hold a tie."""
        return unroll_loops(self._compiled.final)

    @property
    def imported(self) -> Graph:
        """The imported graph."""
        return self._import[0]

    @property
    def tensors(self) -> Trace:
        """The ONNX tensors in the imported graph."""
        return self._import[1]

    @cached_property
    def half(self) -> bool:
        """Whether the model computes float16 tensors, which executors round where they like (docs/exactness.md)."""
        return any(one.code == "BNN032" for one in self._compiled.report_data["warnings"])

    @cached_property
    def _model(self) -> onnx.ModelProto:
        return load_model(self._path, self._compiled.options)

    @cached_property
    def _import(self) -> tuple[Graph, Trace]:
        tensors: Trace = {}
        return import_graph(self._model, self._compiled.options, self._compiled.imported.name, tensors), tensors

    @cached_property
    def _reference(self) -> Reference:
        """Shows all tensors that can be joined over the steps of a loop."""
        wanted = {name for name, found in self.tensors.items() if _common_shape(found) is not None}
        return Reference(show_bodies(self._model, wanted))

    def seen(
        self, feeds: Sequence[Array], expected: Sequence[Array], allowed: Sequence[Tolerance]
    ) -> dict[str, Array] | None:
        """All tensors of the reference; None when it cannot be run here or does not repeat the expected outputs."""
        from bnn2c.toolchain import ToolchainMissing

        try:
            outputs = self._reference.run(feeds)
            return self._reference.trace(feeds) if close(outputs, expected, allowed) else None
        except (ReferenceFailed, ToolchainMissing):
            return None

    def observed(self, seen: dict[str, Array]) -> dict[str, Array]:
        """The reference's results of every operation of the imported graph that takes decisions.

        Args:
            seen: all tensors of the reference.
        """
        values = {node.output for node in self.imported.nodes}
        found: dict[str, Array] = {}
        for name, array in seen.items():
            for view, part in self.views(name, array):
                if view.value in values:
                    flat = found.setdefault(view.value, np.full(self.imported.types[view.value].size, np.nan))
                    index, numbers = view.index.ravel(), part.astype(np.float64).ravel()
                    new = (index >= 0) & np.isnan(flat[index])
                    flat[index[new]] = numbers[new]
        return decided(self.imported, found)

    def views(self, name: str, array: Array) -> Iterator[tuple[View, Array]]:
        """Where the numbers of a tensor of the reference are in the imported graph.

        Args:
            name: of the tensor.
            array: its numbers; those of a loop's body joined over all steps that the reference takes.

        Yields:
            a view of a value and an array of its shape; nothing for constants.
        """
        found = self.tensors.get(name, [])
        shape = _common_shape(found)
        if shape is None or 0 in shape or array.size % int(np.prod(shape)):
            return
        nested = array.ndim > len(shape) + 1  # a loop that ends early in another one: which steps these are is unknown
        if nested and array.size != len(found) * int(np.prod(shape)):
            return
        for tensor, part in zip(found, array.reshape(-1, *shape), strict=False):
            if isinstance(tensor, View):
                yield tensor, part


def _common_shape(found: Sequence[Value]) -> tuple[int, ...] | None:
    """The one shape of what the steps compute; None for sequences, and where all of them are constants."""
    tensors = [one for one in found if isinstance(one, View | np.ndarray)]
    shapes = {one.shape for one in tensors}
    computed = len(tensors) == len(found) and any(isinstance(one, View) for one in tensors)
    return shapes.pop() if computed and len(shapes) == 1 else None
