"""A group of operations that runs several times, each time on the next slice and with the last state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bnn2c.ir.graph import Graph, execute
from bnn2c.ir.op import Array, Cost, Op, Pace
from bnn2c.ir.types import TensorType
from bnn2c.kernels.steps import loop_lines
from bnn2c.memory import plan_memory

if TYPE_CHECKING:
    from bnn2c.memory import Plan

CALL_STACK_BYTES = 256


@dataclass(frozen=True)
class Feed:
    """What one input of the body reads.

    Attributes:
        start: first element of the operand that step 0 reads.
        step: by how many elements the window moves each step; 0 for an operand that every step reads as a whole.
        carried: number of the body's output that the next step reads instead of the operand; None when not carried.
    """

    start: int = 0
    step: int = 0
    carried: int | None = None


@dataclass(frozen=True)
class Result:
    """Output number `output` of the body: that of the last step, or of all steps one after the other."""

    output: int
    stacked: bool


@dataclass(frozen=True, eq=False)
class Loop(Op):
    """`for t in range(steps): body(windows at start + t * step, states of step t - 1)`.

    Attributes:
        body: one step; its input k has the type of the window, and is fed by `feeds[k]` from operand k.
        steps: number of repetitions.
        feeds: one per input of the body.
        results: what is kept, in the order in which it lies in the output, one run of elements (bits: of pixels).
        streamed: the states outlive a call, so that the next call goes on with the next step.
        pace: of a streamed loop, the frames that come in a step of the stream, if there are several.
    """

    body: Graph
    steps: int
    feeds: tuple[Feed, ...]
    results: tuple[Result, ...]
    streamed: bool = False
    pace: Pace | None = None

    @property
    def starts_late(self) -> bool:
        """Whether a stream begins with frames that do not exist, which the states must not see."""
        return self.pace is not None and self.pace.late > 0

    @property
    def windows(self) -> list[TensorType]:
        """Types of the body's inputs."""
        return [self.body.types[port.value] for port in self.body.inputs]

    @property
    def produced(self) -> list[TensorType]:
        """Types of the body's outputs."""
        return [self.body.types[port.value] for port in self.body.outputs]

    @property
    def places(self) -> list[int]:
        """First element of each result in the output, and the number of all elements."""
        sizes = [self.produced[r.output].size * (self.steps if r.stacked else 1) for r in self.results]
        return [sum(sizes[:i]) for i in range(len(sizes) + 1)]

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """[1, 1, elements], or [pixels, 1, C] of packed bits; every window must stay inside its operand."""
        for kind, window, feed in zip(inputs, self.windows, self.feeds, strict=True):
            last = feed.start + feed.step * (self.steps - 1)
            if (kind.storage, kind.planes) != (window.storage, window.planes):
                raise ValueError(f"{kind} is read as {window}")
            if min(feed.start, last) < 0 or max(feed.start, last) + window.size > kind.size:
                raise ValueError(f"a window of {window} leaves {kind}")
        kinds = {(k.storage, k.planes, k.shape[2] if k.storage == "bits" else 1) for k in self._kept()}
        if len(kinds) != 1:
            raise ValueError("results are stored differently")
        storage, planes, channels = kinds.pop()
        if storage == "bits":
            return TensorType((self.places[-1] // channels, 1, channels), storage, planes)
        return TensorType((1, 1, self.places[-1]), storage)

    def _kept(self) -> list[TensorType]:
        return [self.produced[r.output] for r in self.results]

    def reference(self, *inputs: Array) -> Array:
        """Execute the body once per step."""
        states: list[Array] = []
        made: list[list[Array]] = []
        for t in range(self.steps):
            feeds = [self._fed(k, t, x, states) for k, x in enumerate(inputs)]
            values = execute(self.body, feeds)
            states = [values[port.value] for port in self.body.outputs]
            made.append(states)
        parts = [m[r.output].ravel() for r in self.results for m in (made if r.stacked else made[-1:])]
        return np.concatenate(parts).reshape(self.infer_shape())

    def infer_shape(self) -> tuple[int, int, int]:
        """Shape of the output."""
        kind = self._kept()[0]
        channels = kind.shape[2] if kind.storage == "bits" else self.places[-1]
        return self.places[-1] // channels, 1, channels

    def _fed(self, number: int, t: int, operand: Array, states: Sequence[Array]) -> Array:
        feed, window = self.feeds[number], self.windows[number]
        if feed.carried is not None and t > 0:
            return states[feed.carried]
        first = feed.start + feed.step * t
        return operand.ravel()[first : first + window.size].reshape(window.shape)

    @cached_property
    def plan(self) -> Plan:
        """Memory of one step; the body's inputs and outputs are C pointers."""
        return plan_memory(self.body)

    @cached_property
    def homes(self) -> dict[int, int]:
        """States that live in the output, by input: which result. The last one is kept, and made in place."""
        carried = [feed.carried for feed in self.feeds]
        return {
            carried.index(result.output): number
            for number, result in enumerate(self.results)
            if not self.streamed and not result.stacked and carried.count(result.output) == 1
            if [r.output for r in self.results].count(result.output) == 1
            if self._made_in_place(carried.index(result.output), result.output)
        }

    @cached_property
    def followed(self) -> dict[int, int]:
        """States that lie among the results: a step reads the row that the last one wrote. Output by input."""
        stacked = {result.output for result in self.results if result.stacked and not self.streamed}
        return {k: feed.carried for k, feed in enumerate(self.feeds) if feed.carried in stacked}

    @cached_property
    def kept_in_place(self) -> dict[int, int]:
        """States that are no results, and whose next value takes the place of the last. Output by input."""
        carried = [feed.carried for feed in self.feeds]
        kept = {result.output for result in self.results}
        return {
            k: output
            for k, output in enumerate(carried)
            if output is not None and output not in kept and carried.count(output) == 1
            if self._made_in_place(k, output)
        }

    def _made_in_place(self, state: int, output: int) -> bool:
        """Whether the body makes the next state element by element from the last one, which is not read again."""
        body, place = self.body, ("input", state)
        kept = {name for name, found in self.plan.places.items() if found[:2] == place}
        number = next((n for n, node in enumerate(body.nodes) if node.output == body.outputs[output].value), None)
        if number is None:
            return False
        maker = body.nodes[number]
        reads = [k for k, name in enumerate(maker.inputs) if name in kept]
        later = any(name in kept for node in body.nodes[number + 1 :] for name in node.inputs)
        return not later and len(reads) == 1 and reads[0] in maker.op.overwrites(body.input_types(maker))

    @cached_property
    def layout(self) -> tuple[dict[int, int], dict[int, int], int]:
        """Scratch after the body's arena: offset of each state by input, of outputs that have no other place, end."""
        end = -(-self.plan.size // 8) * 8
        states: dict[int, int] = {}
        others: dict[int, int] = {}
        for number, (feed, kind) in enumerate(zip(self.feeds, self.windows, strict=True)):
            if feed.carried is not None and number not in {**self.homes, **self.followed}:
                states[number], end = end, end + -(-kind.nbytes // 8) * 8
        for number, kind in enumerate(self.produced):
            if number not in {*(r.output for r in self.results), *self.kept_in_place.values()}:
                others[number], end = end, end + -(-kind.nbytes // 8) * 8
        return states, others, end

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The body's arena, states that are not in the output, their next values, the start of a stream."""
        return self.layout[2] + (8 if self.streamed else 0)

    @property
    def keeps_state(self) -> bool:
        """A streamed loop does."""
        return self.streamed

    def stack_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The loop's own frame and the deepest call of the body."""
        return CALL_STACK_BYTES + max(n.op.stack_bytes(self.body.input_types(n)) for n in self.body.nodes)

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """The body's work times the steps; its constants once."""
        costs = [n.op.cost(self.body.input_types(n)) for n in self.body.nodes]
        return Cost(
            binary_macs=self.steps * sum(c.binary_macs for c in costs),
            real_macs=self.steps * sum(c.real_macs for c in costs),
            weight_bytes=sum(c.weight_bytes for c in costs),
        )

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """C lines: what happens before the first step, the windows of step t, and the states after it."""
        return loop_lines(self, inputs)

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """Those of the body."""
        found = {h for n in self.body.nodes for h in n.op.headers(self.body.input_types(n))}
        return ("bnn2c_loop.h", *sorted(found))

    def kernel(self, inputs: Sequence[TensorType]) -> str:
        """Number of repetitions."""
        return f"loop of {self.steps} steps"

    def describe(self) -> str:
        """Without the body."""
        return f"steps={self.steps}, feeds={self.feeds}, results={self.results}"
