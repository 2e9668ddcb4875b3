"""Decides between *mismatch* and *rounding* for a sample whose outputs differ.

Three links lead from the C to the reference, and each must hold by itself:

    generated C  --  final graph in numpy  --  imported graph in numpy  --  ONNX reference

A link holds when the outputs agree within tolerance, or when they do once decisions (sign, comparison, rounding, arg
max) whose operands lie within the float32 summation error of the tie are taken as the other side took them. For the
reference, whose intermediate tensors can be seen, all of its decisions are replayed; for the others the flips are
searched. The sample is *rounding* when all links hold and at least one decision was replayed or flipped: a wrong
weight, a wrong threshold or a wrong tie rule anywhere breaks a link, because exact ties of exact numbers have the error
bound 0 and are never flipped. A sample that leaves the real numbers (`bnn2c.verify.beyond`) is no mismatch either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bnn2c.importer.tensors import View
from bnn2c.ir import Graph
from bnn2c.verify.beyond import beyond_reals
from bnn2c.verify.bounded import Array
from bnn2c.verify.compare import RELATIVE, Target, Tolerance, close
from bnn2c.verify.decisions import Flips, Follow, Record
from bnn2c.verify.evaluate import Values, evaluate, results
from bnn2c.verify.inner import Inner
from bnn2c.verify.search import search
from bnn2c.verify.stages import Stages
from bnn2c.verify.visible import visible

if TYPE_CHECKING:
    from bnn2c.pipeline import Compiled
    from bnn2c.verify.vectors import Vectors

__all__ = ["Finding", "Judge"]

_BEYOND = "not finite"


@dataclass(frozen=True)
class Finding:
    """Why a sample differs.

    Attributes:
        rounding: only decisions within the rounding error differ; otherwise it is a mismatch.
        stage: the link that breaks: `c`, `lowering` or `reference`; or `precision`: no decision differs, and float32
            rounding alone takes the outputs further apart than the tolerance allows (a mismatch, unless the C is as
            near to float64 arithmetic as the reference, or the reference rounds to float16); where the reference
            decides as float64 does, being as near says enough, however far the bound on the C's own sums reaches;
            or `not finite`: the reference computes NaN, or an infinity from finite numbers.
        tensor: the ONNX tensor (or node) of the first difference; empty when a link holds exactly.
        reference: value there in the reference (of that link), `got`: value there on the other side.
        elements: number of decisions that were taken as the other side took them.
    """

    rounding: bool
    stage: str
    tensor: str = ""
    reference: float | None = None
    got: float | None = None
    elements: int = 0

    def data(self, sample: int) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "sample": sample, "tensor": self.tensor, "reference": self.reference, "got": self.got,
            "stage": self.stage, "elements": self.elements,
        }  # fmt: skip


class Judge:
    """Knows the model in all its stages; used only when something differs."""

    def __init__(
        self,
        compiled: Compiled,
        model: Path,
        vectors: Vectors,
        expected: Sequence[Sequence[Array]],
        allowed: Sequence[Tolerance],
    ) -> None:
        """Keep what is compared.

        Args:
            compiled: the compilation result.
            model: the ONNX file.
            vectors: samples.
            expected: the reference's outputs per sample.
            allowed: tolerance of each output.
        """
        self._stages = Stages(compiled, model)
        self._vectors = vectors
        self._expected = expected
        self._allowed = list(allowed)
        self._known: dict[int, list[Finding]] = {}

    def unexamined(self, sample: int, got: Sequence[Array]) -> Finding:
        """A mismatch without a look at its cause."""
        return self._output_difference("not examined", got, self._expected[sample])

    def judge(self, sample: int, got: Sequence[Array], inner: Inner) -> Finding:
        """Classify the sample whose C outputs are `got`; `inner` knows more about that C."""
        if sample not in self._known:
            self._known[sample] = self._upstream(sample)
        known = self._known[sample]
        if known[0].stage == _BEYOND:
            return known[0]
        links = [self._c_link(sample, got, inner), *known]
        broken = sorted((link for link in links if not link.rounding), key=lambda link: link.stage == "precision")
        if broken:
            smooth = broken[0].stage == "precision" or self._rounds_only(sample, known[-1])
            near = smooth and self._as_near(sample, got)
            return replace(broken[0], stage="precision" if near else broken[0].stage, rounding=near)
        decided = next((link for link in links if link.elements or link.stage == "precision"), None)
        return decided or replace(self._output_difference("precision", got, self._expected[sample]), rounding=False)

    def _upstream(self, sample: int) -> list[Finding]:
        """What does not depend on the C: that the reference leaves the real numbers, or else two links."""
        beyond = self._beyond_reals(sample)
        return [beyond] if beyond is not None else [self._lowering_link(sample), self._reference_link(sample)]

    def _rounds_only(self, sample: int, reference: Finding) -> bool:
        """Whether the reference decides as the imported graph does, in float64 too: what is left is rounding."""
        if not reference.rounding or reference.elements:
            return False
        single, double = Record(), Record()
        evaluate(self._stages.imported, self._vectors.inputs[sample], single)
        evaluate(self._stages.imported, self._vectors.inputs[sample], double, real=np.float64)
        return all(np.array_equal(single.decided[k], double.decided[k], equal_nan=True) for k in double.decided)

    def _as_near(self, sample: int, got: Sequence[Array]) -> bool:
        """Whether the C is at least as near to float64 arithmetic as the reference: large numbers may cancel."""
        graph = self._stages.imported
        exact = results(graph, evaluate(graph, self._vectors.inputs[sample], Flips(), real=np.float64))
        target = Target(exact, self._allowed)
        ours, theirs = (np.abs(target.apart(found)).max() for found in (got, self._expected[sample]))
        return bool(ours <= theirs)

    def _beyond_reals(self, sample: int) -> Finding | None:
        """Whether the reference leaves the real numbers, and where."""
        seen = self._stages.seen(self._vectors.feeds[sample], self._expected[sample], self._allowed)
        if seen is None:
            return None
        graph = self._stages.imported
        tensor = beyond_reals(seen, graph, evaluate(graph, self._vectors.inputs[sample], Flips(), self._stages.half))
        return Finding(True, _BEYOND, tensor) if tensor is not None else None

    def _c_link(self, sample: int, got: Sequence[Array], inner: Inner) -> Finding:
        """Replay the decisions that the C shows when they are asked for; search the others."""
        inputs, graph = self._vectors.inputs[sample], self._stages.final
        if close(results(graph, evaluate(graph, inputs, Flips())), got, self._allowed):
            return Finding(True, "c")
        return self._searched("c", graph, inputs, got, inner.decided(graph, sample, got))

    def _lowering_link(self, sample: int) -> Finding:
        inputs = self._vectors.inputs[sample]
        lowered = results(self._stages.final, evaluate(self._stages.final, inputs, Flips()))
        return self._searched("lowering", self._stages.imported, inputs, lowered, {})

    def _searched(
        self, stage: str, graph: Graph, inputs: Sequence[Array], target: Sequence[Array], seen: Mapping[str, Array]
    ) -> Finding:
        """Compare a graph with the target, taking decisions that were seen as they were, and flipping others."""
        half = self._stages.half and stage == "reference"
        wanted = {**visible(graph, target), **seen}
        flips = search(graph, inputs, Target(target, self._allowed), wanted, half)
        if flips is None:
            return self._unexplained(stage, graph, evaluate(graph, inputs, Flips(), half), target)
        return Finding(True, stage, self._tensor(graph, flips[0].site) if flips else "", elements=len(flips))

    def _reference_link(self, sample: int) -> Finding:
        """Replay the reference's decisions where they can be seen; search otherwise."""
        graph, inputs, expected = self._stages.imported, self._vectors.inputs[sample], self._expected[sample]
        oracle = evaluate(graph, inputs, Flips(), self._stages.half)
        if close(results(graph, oracle), expected, self._allowed):
            return Finding(True, "reference")
        seen = self._stages.seen(self._vectors.feeds[sample], self._expected[sample], self._allowed)
        observed = {} if seen is None else self._stages.observed(seen)
        follow = Follow(observed)
        followed = results(graph, evaluate(graph, inputs, follow, self._stages.half))
        if follow.refused is not None:
            site, _, reference, got = follow.refused
            return Finding(False, "reference", self._tensor(graph, site), reference, got)
        if follow.taken and close(followed, expected, self._allowed):
            first = self._tensor(graph, next(iter(follow.taken)))
            return Finding(True, "reference", first, elements=sum(follow.taken.values()))
        found = self._searched("reference", graph, inputs, expected, observed)
        if found.rounding or found.stage == "precision" or seen is None:
            return found
        return self._first_tensor(seen, oracle) or found

    def _unexplained(self, stage: str, graph: Graph, values: Values, target: Sequence[Array]) -> Finding:
        """A mismatch; whether the error bound of the outputs covers it is said, and changes nothing in float32.

        A float16 reference may have rounded any result: there the bound is all that can be asked for.
        """
        covered = True
        for port, other in zip(graph.outputs, target, strict=True):
            value, error = values[port.value].value.astype(np.float64), values[port.value].error
            gap = np.abs(value.ravel() - np.ravel(other))
            covered &= bool((gap <= np.broadcast_to(error, value.shape).ravel()).all())
        found = self._output_difference("precision" if covered else stage, target, results(graph, values))
        return replace(found, rounding=covered and self._stages.half and stage == "reference")

    def _output_difference(self, stage: str, got: Sequence[Array], reference: Sequence[Array]) -> Finding:
        """The first differing element of the outputs (the largest difference when all are within tolerance)."""
        for allowed, a, b in zip(self._allowed, got, reference, strict=True):
            wrong = allowed.differs(a, b)
            if wrong.any():
                position = int(np.nonzero(wrong)[0][0])
                return Finding(False, stage, allowed.name, float(np.ravel(b)[position]), float(np.ravel(a)[position]))
        return Finding(False, stage, self._allowed[0].name)

    def _first_tensor(self, seen: dict[str, Array], oracle: Values) -> Finding | None:
        """The first ONNX tensor that differs by more than rounding."""
        for name, array in seen.items():
            limit = RELATIVE * np.abs(array.astype(np.float64)).max(initial=0.0)
            for view, part in self._stages.views(name, array):
                if view.value not in oracle:
                    continue
                reference, index = part.astype(np.float64).ravel(), view.index.ravel()
                bounded = oracle[view.value]
                got = np.where(index < 0, 0.0, bounded.value.astype(np.float64).ravel()[index])
                error = np.broadcast_to(bounded.error, bounded.value.shape).ravel()[index]
                wrong = np.abs(got - reference) > error + limit
                if wrong.any():
                    position = int(np.nonzero(wrong)[0][0])
                    return Finding(False, "reference", name, float(reference[position]), float(got[position]))
        return None

    def _tensor(self, graph: Graph, site: str) -> str:
        """The ONNX name for a value: the tensor, or the node that it comes from."""
        value = site.partition("#")[0]
        if graph is self._stages.imported:
            for name, found in self._stages.tensors.items():
                if any(isinstance(tensor, View) and tensor.value == value for tensor in found):
                    return name
        origins = [node.origin for node in graph.nodes if node.output == value and node.origin]
        return origins[0][-1] if origins else value
