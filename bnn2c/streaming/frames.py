"""Rewrite a lowered graph so that it computes the outputs of one input frame, or of some frames at a time.

A layer that reads k frames at distance d, every s frames, gets a `History` of (k - 1) d + 1 frames in front (or those k
of them, `SpacedHistory`) and computes one position: the same operation on the same numbers as in the whole window, so
equality is exact. A loop over time does one step and keeps its states. All other layers compute one frame from one
frame. Where branches meet, the earlier one is delayed. Zeros in front of the window are the past of a new stream, zeros
behind it come when the stream ends; constants that the padding changes in the first and last frames are variants
(`Onset`, `OnsetConv2d`).
Refused (BNN028): whatever treats frames differently by their position.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bnn2c.errors import CompileError
from bnn2c.importer.tensors import shape3
from bnn2c.ir import Graph, Node, Op, Port, TensorType
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.embedding import Embedding
from bnn2c.ops.frame_classes import FrameClasses
from bnn2c.ops.level_sum import LevelSum
from bnn2c.ops.loop import Loop
from bnn2c.ops.onset import Onset
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.rearrange import Rearrange
from bnn2c.ops.sliding_sum import SlidingSum
from bnn2c.streaming.apart import thresholds_apart
from bnn2c.streaming.clock import LAST, RAW, WHOLE, Clock
from bnn2c.streaming.moves import LAST_STATE, Moves
from bnn2c.streaming.one_frame import (
    REDUCTIONS,
    NotUniform,
    Place,
    Reach,
    Variants,
    at_frames,
    reach_along,
)
from bnn2c.streaming.positions import Frames, frames_of
from bnn2c.streaming.schedule import Scheduled, scheduled
from bnn2c.streaming.values import Misaligned

MOST_DELAYS = 100


@dataclass(frozen=True)
class Stream:
    """A graph for one step, and how the window's tensors split into frames.

    Attributes:
        graph: the network for one step.
        inputs, outputs: frames of the window's tensors.
        window_inputs, window_outputs: ports of the window.
        timing: when results come.
        step: frames of the inputs in a step.
    """

    graph: Graph
    inputs: tuple[Frames, ...]
    outputs: tuple[Frames, ...]
    window_inputs: tuple[Port, ...]
    window_outputs: tuple[Port, ...]
    timing: Scheduled
    step: int


def make_stream(graph: Graph, axis: int, step: int = 1) -> Stream:
    """The step graph of a network over a window.

    Args:
        graph: lowered graph over the whole window.
        axis: ONNX axis of the inputs that is time.
        step: frames in a step.

    Raises:
        CompileError: BNN028, with the layer that needs more than the frames that came before, or the steps that fit.
    """
    graph = thresholds_apart(graph)
    found = _streamed(graph, axis, 1)
    if step > 1 and step % found.timing.slowest:
        message = f"steps of {step} frames: the network has a layer with a result every {found.timing.slowest} frames"
        raise CompileError.single("BNN028", message, hint=f"take a multiple of {found.timing.slowest}")
    return found if step == 1 else _streamed(graph, axis, step)


def _streamed(graph: Graph, axis: int, step: int) -> Stream:
    early: dict[str, int] = {}
    for _ in range(MOST_DELAYS):
        attempt = _Streamer(graph, axis, early, step)
        try:
            return attempt.run()
        except Misaligned as found:
            place, steps = attempt.before(found.value, found.steps)
            early[place] = early.get(place, 0) + steps
    raise CompileError.single("BNN028", "the branches of the network cannot be made to meet")


class _Streamer(Moves):
    def __init__(self, graph: Graph, axis: int, early: dict[str, int], step: int) -> None:
        super().__init__(graph, early, step)
        self.axis = axis

    def run(self) -> Stream:
        inputs = [self._input(port) for port in self.graph.inputs]
        for node in self.graph.nodes:
            try:
                self._node(node)
            except NotUniform as reason:
                raise _refused(node, str(reason)) from reason
        outputs = [self._output(port) for port in self.graph.outputs]
        ports = tuple(p for p, _ in inputs), tuple(p for p, _ in outputs)
        graph = Graph(self.graph.name, *ports, tuple(self.nodes), self.types)
        timing = scheduled(graph, self.clocks, self.count, self.step)
        frames = tuple(f for _, f in inputs), tuple(f for _, f in outputs)
        return Stream(timing.graph, *frames, self.graph.inputs, self.graph.outputs, timing, self.step)

    def before(self, value: str, steps: int) -> tuple[str, int]:
        """The operation whose operands come often enough to wait `steps` steps, and the number of their frames."""
        node = next(node for node in self.graph.nodes if node.output == value)
        source = next(name for name in node.inputs if self.clocks[name])
        clock = self.clock(source)
        if steps % clock.stride:
            return self.before(source, steps)
        return node.output, steps // clock.stride

    def _input(self, port: Port) -> tuple[Port, Frames]:
        axis = self.axis + len(port.shape) if self.axis < 0 else self.axis
        if not 0 <= axis < len(port.shape) or port.shape[axis] < 2:
            message = f"input {port.name} of shape {list(port.shape)} has no axis {self.axis} of several frames"
            hint = "every input has time; leave out a first state, which is zeros at the reset and stays in the stream"
            raise CompileError.single("BNN028", message, hint=hint)
        frames = frames_of(port.shape, axis)
        shape = tuple(self.step if k == axis else n for k, n in enumerate(port.shape))
        self.types[port.value] = TensorType(shape3(shape), self.graph.types[port.value].storage)
        self.clocks[port.value] = Clock(RAW, frames.count)
        self.ports[port.value] = frames
        self.count = frames.count
        return replace(port, shape=shape), frames

    def _output(self, port: Port) -> tuple[Port, Frames]:
        """Time is the ONNX axis whose frames are the physical ones. Outputs come together."""
        clocks = [self.clocks[p.value] for p in self.graph.outputs]
        latest = max((c.delay for c in clocks if c and c.axis != LAST), default=0)
        clock, size = self.clocks[port.value], self.graph.types[port.value].size
        value = port.value
        if clock and clock.axis != LAST and clock.delay < latest:
            value = self.late(port.value, latest - clock.delay)
            port, clock = replace(port, value=value), self.clocks[value]
        if clock is None and self.step > 1:
            raise CompileError.single("BNN028", f"output {port.name} is constant; take steps of one frame")
        if clock is None or not clock.framed:
            return port, Frames(1, 1, size)
        inner = self.frames(value, clock).inner
        for axis, count in enumerate(port.shape):
            found = frames_of(port.shape, axis)
            if count == clock.frames and found.inner == inner:
                shape = tuple(self.several(clock) if k == axis else n for k, n in enumerate(port.shape))
                return replace(port, shape=shape), found
        raise CompileError.single("BNN028", f"output {port.name} mixes frames")

    def _node(self, node: Node) -> None:
        if not any(self.clocks[name] for name in node.inputs):
            self.add(node, None)
            return
        node = self.together(node)
        clocks = [self.clocks[name] for name in node.inputs]
        timed = [c for c in clocks if c is not None]
        if isinstance(node.op, Loop):
            self._steps(node, node.op, timed[0])
        elif not any(c.framed for c in timed):
            self.add(node, max(timed, key=lambda c: (c.delay, c.axis)))
        elif len(timed) < len(clocks) or not all(c.beside(timed[0]) for c in timed):
            raise NotUniform("its inputs come at different times")
        else:
            self._timed(node, timed[0])

    def _timed(self, node: Node, clock: Clock) -> None:
        if isinstance(node.op, Rearrange):
            self.moved(node, node.op.index, clock)
        elif isinstance(node.op, Embedding):
            self._rows(node, clock)
        else:
            self._at_frames(*self._with_past(*self._in_order(node)))

    def _in_order(self, node: Node) -> tuple[Node, Clock]:
        """The node, and the clock of its operands, whose frames lie along one axis; it reduces windows as rows."""
        entered = [self.physical(name) for name in node.inputs]
        clock = replace(entered[0], padded=max(c.padded for c in entered))
        if any(c.axis != clock.axis for c in entered):
            raise NotUniform("its inputs have time on different axes")
        reduced = isinstance(node.op, REDUCTIONS) and not isinstance(node.op, LevelSum)
        if reduced and clock.axis == 1 and self.several(clock) > 1:
            return self.windows_as_rows(node, clock)
        return node, clock

    def _with_past(self, node: Node, clock: Clock) -> tuple[Node, Clock, bool]:
        """The node reading as many frames as it needs, their clock, and whether they are those of a dilated window."""
        reach = reach_along(node.op, clock.axis, self.whole[node.inputs[0]])
        if reach.span == clock.frames + reach.lead + reach.tail:
            reach = replace(reach, stride=1)
        early = self.early.get(node.output, 0)
        spaced = early == 0 and self.spaced(node.inputs[0], reach)
        reach = reach if spaced else replace(reach, gap=1)
        if reach == Reach(1):
            return node, clock, spaced
        if isinstance(node.op, LevelSum):
            return *self._sliding(node, clock, reach), spaced
        name = self.kept(node.inputs[0], clock, reach, early)
        return replace(node, inputs=(name,)), self.clock(name), spaced

    def _at_frames(self, node: Node, clock: Clock, spaced: bool) -> None:
        """Restrict the operation to the frames of a step, and append it."""
        axis = clock.axis
        if self.whole[node.output].shape[axis] != clock.frames:
            raise NotUniform("it changes the number of frames")
        first = max(1, min(clock.frames, (self.count - 1 - clock.delay) // clock.stride + 1))
        place = Place(axis, clock.frames, first, clock.padded, self.several(clock), self.step > 1, spaced)
        op = at_frames(node.op, place)
        if isinstance(op, Variants):
            node, op = self._told_apart(node, op, clock), Onset(op.ops, axis)
        self.add(replace(node, op=op), self._completed(node.op, clock))

    def _completed(self, op: Op, clock: Clock) -> Clock:
        """The clock of a result of the whole window; in steps of several frames there are several of them.

        What follows codes has constants of its own: it is not reached by the padding in front of them.
        """
        clock = replace(clock, padded=0) if isinstance(op, Quantize) else clock
        return clock if clock.frames > 1 or self.step > 1 else replace(clock, axis=WHOLE)

    def _told_apart(self, node: Node, found: Variants, clock: Clock) -> Node:
        """The node with one more input, the number of its variant, which comes when its first input comes."""
        source = node.inputs[0]
        made = next((n for n in self.nodes if n.output == source and isinstance(n.op, BinaryConv2d)), None)
        source = made.inputs[0] if made else source  # the sums may not have two readers (passes/fuse_thresholds.py)
        classes, op = f"{node.output}/classes", FrameClasses(found.order, found.ending, pace=self.pace(clock))
        self.add(Node(classes, op, (source,), node.origin), replace(clock, axis=1))
        return replace(node, inputs=(*node.inputs, classes))

    def _sliding(self, node: Node, clock: Clock, reach: Reach) -> tuple[Node, Clock]:
        self.ends += 1
        op = SlidingSum(clock.axis, reach.span, reach.stride, ends=(clock.end, self.ends), pace=self.pace(clock))
        return replace(node, op=op), self.after(clock, reach, self.ends)

    def _steps(self, node: Node, loop: Loop, clock: Clock) -> None:
        """A loop over time: one step for each frame, and states that stay. Each step must read its own frame only."""
        for name, feed, window in zip(node.inputs, loop.feeds, loop.windows, strict=True):
            mine = self.clocks[name]
            if mine is None:
                continue
            frames = self.frames(name, mine)
            inside = frames.outer == 1 and feed.step == frames.inner and feed.start + window.size <= frames.inner
            if not inside or mine.frames != loop.steps or not mine.beside(clock):
                raise NotUniform("its steps do not read one frame each, from the first to the last")
        if len(loop.results) > 1:
            raise NotUniform("it gives several results")
        stacked, several = loop.results[0].stacked, self.several(clock)
        if several > 1 and not stacked:
            raise NotUniform(LAST_STATE)
        self.ports[node.output] = Frames(1, loop.steps, loop.produced[loop.results[0].output].size)
        step = replace(loop, steps=several, streamed=True, pace=self.pace(clock))
        self.add(replace(node, op=step), replace(clock, axis=RAW if stacked else LAST))

    def _rows(self, node: Node, clock: Clock) -> None:
        """Rows of a table: one number is one frame, and rows are columns of the result."""
        if self.whole[node.inputs[0]].size != clock.frames:
            raise NotUniform("a frame has several numbers of rows")
        self.add(node, replace(clock, axis=1))


def _refused(node: Node, reason: str) -> CompileError:
    name = node.origin[0] if node.origin else node.output
    hint = "see docs/sequences.md for what can be streamed; without --stream the window runs as a whole"
    return CompileError.single("BNN028", f"{name} cannot be streamed: {reason}", node=name, op=node.op.kind, hint=hint)
