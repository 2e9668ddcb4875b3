"""Rewrite a lowered graph so that it computes one output frame from one input frame.

A layer that reads k frames at distance d, every s frames, gets a `History` of (k - 1) d + 1 frames in front and
computes one position: the same operation on the same numbers as in the whole window, so equality is exact. A loop
over time does one step and keeps its states. All other layers compute one frame from one frame. Zeros in front of the
window are the past of a new stream; constants that the padding changes in the first frames are an `Onset`. Refused
(BNN028): padding behind the window and whatever treats frames differently by their position; branches with different
delays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.errors import CompileError
from bnn2c.importer.tensors import shape3
from bnn2c.ir import Graph, Node, Port, TensorType
from bnn2c.ops.embedding import Embedding
from bnn2c.ops.history import History
from bnn2c.ops.level_sum import LevelSum
from bnn2c.ops.loop import Loop
from bnn2c.ops.rearrange import Rearrange
from bnn2c.ops.sliding_sum import SlidingSum
from bnn2c.streaming.one_frame import Frames, NotUniform, Reach, at_one_frame, frame_positions, frames_of, reach_along


@dataclass(frozen=True)
class Clock:
    """Time of a value: its physical axis (of a graph input: the ONNX axis), its frames, and when frames come."""

    axis: int
    frames: int
    stride: int = 1
    delay: int = 0


@dataclass(frozen=True)
class Stream:
    """A graph for one frame, and how the window's tensors split into frames."""

    graph: Graph
    inputs: tuple[Frames, ...]
    outputs: tuple[Frames, ...]
    window_inputs: tuple[Port, ...]
    window_outputs: tuple[Port, ...]


def make_stream(graph: Graph, axis: int) -> Stream:
    """The step graph of a network over a window.

    Args:
        graph: lowered graph over the whole window.
        axis: ONNX axis of the inputs that is time.

    Raises:
        CompileError: BNN028, with the layer that needs more than the frames that came before.
    """
    return _Streamer(graph, axis).run()


class _Streamer:
    def __init__(self, graph: Graph, axis: int) -> None:
        self.graph, self.axis = graph, axis
        self.types: dict[str, TensorType] = {}
        self.clocks: dict[str, Clock | None] = {}
        self.ports: dict[str, Frames] = {}
        self.after: set[str] = set()
        self.nodes: list[Node] = []

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
        frames = tuple(f for _, f in inputs), tuple(f for _, f in outputs)
        return Stream(graph, *frames, self.graph.inputs, self.graph.outputs)

    def _input(self, port: Port) -> tuple[Port, Frames]:
        axis = self.axis + len(port.shape) if self.axis < 0 else self.axis
        if not 0 <= axis < len(port.shape) or port.shape[axis] < 2:
            message = f"input {port.name} of shape {list(port.shape)} has no axis {self.axis} of several frames"
            raise CompileError.single("BNN028", message)
        frames = frames_of(port.shape, axis)
        shape = tuple(1 if k == axis else n for k, n in enumerate(port.shape))
        self.types[port.value] = TensorType(shape3(shape), self.graph.types[port.value].storage)
        self.clocks[port.value] = Clock(-1, frames.count)
        self.ports[port.value] = frames
        return replace(port, shape=shape), frames

    def _output(self, port: Port) -> tuple[Port, Frames]:
        """Time is the ONNX axis whose frames are the physical ones."""
        clock, size = self.clocks[port.value], self.graph.types[port.value].size
        if self.after and port.value not in self.after:
            raise CompileError.single("BNN028", f"output {port.name} comes before others are complete")
        if clock is None:
            return port, Frames(1, 1, size)
        inner = int(np.prod(self.graph.types[port.value].shape[clock.axis + 1 :]))
        for axis, count in enumerate(port.shape):
            found = frames_of(port.shape, axis)
            if count == clock.frames and found.inner == inner:
                return replace(port, shape=tuple(1 if k == axis else n for k, n in enumerate(port.shape))), found
        raise CompileError.single("BNN028", f"output {port.name} mixes frames")

    def _node(self, node: Node) -> None:
        clocks = [self.clocks[name] for name in node.inputs]
        timed = [c for c in clocks if c is not None]
        if not timed:
            self._add(node, None)
        elif isinstance(node.op, Loop):
            self._steps(node, node.op, timed[0])
        elif any(replace(c, axis=0) != replace(timed[0], axis=0) for c in timed) or len(timed) < len(clocks):
            raise NotUniform("its inputs come at different times")
        else:
            self._timed(node, timed[0])

    def _timed(self, node: Node, clock: Clock) -> None:
        if isinstance(node.op, Rearrange):
            self._moved(node, node.op.index, clock)
            return
        if isinstance(node.op, Embedding):
            self._rows(node, clock)
            return
        if clock.axis < 0:
            clock = self._entered(node.inputs[0], clock)
        axis, kind = clock.axis, self.graph.types[node.output]
        reach = reach_along(node.op, axis, self.graph.types[node.inputs[0]])
        if reach != Reach(1, 1):
            if isinstance(node.op, LevelSum):
                node = replace(node, op=SlidingSum(axis, reach.span, reach.stride))
            else:
                node = replace(node, inputs=(self._history(node, axis, reach),))
            frames = (clock.frames + reach.lead - reach.span) // reach.stride + 1
            delay = clock.delay + clock.stride * (reach.span - 1 - reach.lead)
            clock = Clock(axis, frames, clock.stride * reach.stride, delay)
        if kind.shape[axis] != clock.frames:
            raise NotUniform("it changes the number of frames")
        self._add(replace(node, op=at_one_frame(node.op, axis, clock.frames)), clock if clock.frames > 1 else None)

    def _steps(self, node: Node, loop: Loop, clock: Clock) -> None:
        """A loop over time: one step for each frame, and states that stay. Each step must read its own frame only."""
        for name, feed, window in zip(node.inputs, loop.feeds, loop.windows, strict=True):
            mine = self.clocks[name]
            if mine is None:
                continue
            frames = self._frames(name, mine)
            inside = frames.outer == 1 and feed.step == frames.inner and feed.start + window.size <= frames.inner
            if not inside or mine.frames != loop.steps or replace(mine, axis=0) != replace(clock, axis=0):
                raise NotUniform("its steps do not read one frame each, from the first to the last")
        if len(loop.results) > 1:
            raise NotUniform("it gives several results")
        stacked = loop.results[0].stacked
        self.ports[node.output] = Frames(1, loop.steps, loop.produced[loop.results[0].output].size)
        step = replace(loop, steps=1, streamed=True)
        self._add(replace(node, op=step), replace(clock, axis=-1) if stacked else None)

    def _rows(self, node: Node, clock: Clock) -> None:
        """Rows of a table: one number is one frame, and rows are columns of the result."""
        if self.graph.types[node.inputs[0]].size != clock.frames:
            raise NotUniform("a frame has several numbers of rows")
        self._add(node, replace(clock, axis=1))

    def _moved(self, node: Node, index: Array, clock: Clock) -> None:
        """Within frames; or a flattened window, all of whose frames are kept and which each new frame completes."""
        try:
            axis, inside = frame_positions(index, self._frames(node.inputs[0], clock))
        except NotUniform:
            if clock.axis < 0:
                raise
            self._add(replace(node, inputs=(self._history(node, clock.axis, Reach(clock.frames, 1)),)), None)
            return
        if axis == 2 and self.graph.types[node.output].storage == "bits":
            raise NotUniform("it packs several frames into a word")
        self._add(replace(node, op=Rearrange(inside)), replace(clock, axis=axis))

    def _frames(self, name: str, clock: Clock) -> Frames:
        return self.ports[name] if clock.axis < 0 else frames_of(self.graph.types[name].shape, clock.axis)

    def _entered(self, source: str, clock: Clock) -> Clock:
        """An input (or the states of a loop) that is read without a rearrangement: its frames in physical order."""
        kind = self.graph.types[source]
        index = np.arange(kind.size, dtype=np.int32).reshape(kind.shape)
        axis, moved = frame_positions(index, self.ports[source])
        self.types[source] = replace(self.types[source], shape=(moved.shape[0], moved.shape[1], moved.shape[2]))
        return replace(clock, axis=axis)

    def _history(self, node: Node, axis: int, reach: Reach) -> str:
        name = f"{node.inputs[0]}/last_{reach.span}_{reach.stride}_{reach.lead}"
        if name not in self.types:
            history = History(axis, reach.span, reach.stride, reach.lead)
            self._add(Node(name, history, node.inputs, node.origin), None)
        return name

    def _add(self, node: Node, clock: Clock | None) -> None:
        if isinstance(node.op, History) and node.op.waits:
            if self.after and node.inputs[0] not in self.after:
                raise NotUniform("it begins a branch beside other layers that wait for frames")
            self.after = {node.output}
        elif self.after.intersection(node.inputs):
            self.after.add(node.output)
        self.types[node.output] = node.op.infer([self.types[name] for name in node.inputs])
        self.clocks[node.output] = clock
        self.nodes.append(node)


def _refused(node: Node, reason: str) -> CompileError:
    name = node.origin[0] if node.origin else node.output
    hint = "train with convolutions without padding along time (or pad the window before the network)"
    return CompileError.single("BNN028", f"{name} cannot be streamed: {reason}", node=name, op=node.op.kind, hint=hint)
