"""The values of a stream: their types and clocks, the frames that are kept, and what has to wait for others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.ir import Graph, Node, TensorType
from bnn2c.ir.op import Pace
from bnn2c.ops.history import History
from bnn2c.ops.rearrange import Rearrange
from bnn2c.ops.spaced_history import SpacedHistory
from bnn2c.streaming.clock import LAST, RAW, Clock
from bnn2c.streaming.one_frame import NotUniform, Reach
from bnn2c.streaming.positions import Frames, frame_positions, frames_of


class Misaligned(Exception):
    """A value must come some steps later, which is no number of its frames: a value before it has to wait."""

    def __init__(self, value: str, steps: int) -> None:
        super().__init__(value)
        self.value, self.steps = value, steps


def free_axis(shape: tuple[int, ...]) -> int:
    """A physical axis along which nothing lies: columns, rows or channels.

    Raises:
        NotUniform: there is none.
    """
    for axis in (1, 0, 2):
        if shape[axis] == 1:
            return axis
    raise NotUniform("its frames have to lie along an axis, and it fills all of them")


class Values:
    """Values for one frame, made in order.

    Attributes:
        whole: types over the window; `types`: for one frame.
        ports: how frames lie in values with a `RAW` clock.
        early: operations whose operand has to be so many frames older.
        step: frames of the inputs in a step, 1 or a multiple of every stride.
        count: frames of the window.
        ends: highest number of an end.
    """

    def __init__(self, graph: Graph, early: dict[str, int], step: int) -> None:
        self.graph, self.early, self.step = graph, early, step
        self.whole = dict(graph.types)
        self.types: dict[str, TensorType] = {}
        self.clocks: dict[str, Clock | None] = {}
        self.ports: dict[str, Frames] = {}
        self.nodes: list[Node] = []
        self.count = 0
        self.ends = 0

    def pace(self, clock: Clock) -> Pace | None:
        """How frames come in steps of several frames; None in steps of one."""
        return Pace(self.step // clock.stride, clock.delay // clock.stride) if self.step > 1 else None

    def several(self, clock: Clock) -> int:
        """Frames in a step."""
        return max(1, self.step // clock.stride)

    def together(self, node: Node) -> Node:
        """Delay the inputs that come earlier than others."""
        clocks = {name: c for name in node.inputs if (c := self.clocks[name]) and c.axis != LAST}
        if len({clock.stride for clock in clocks.values()}) > 1:
            raise NotUniform("its inputs come at different rates")
        latest = max((clock.delay for clock in clocks.values()), default=0)
        waits = {name: latest - clock.delay for name, clock in clocks.items()}
        return replace(node, inputs=tuple(self.late(n, waits[n]) if waits.get(n) else n for n in node.inputs))

    def late(self, name: str, wait: int, frames: bool = False) -> str:
        """A value so many steps, or frames, later."""
        clock = self.clocks[name]
        if clock is None:
            return name
        count, rest = (wait, 0) if frames else divmod(wait, clock.stride)
        if rest:
            raise Misaligned(name, wait)
        late = f"{name}/{count}_later"
        if late in self.types:
            return late
        if clock.axis == RAW:
            clock = self.entered(name, clock)
        kind = self.types[name]
        axis = clock.axis if self.step > 1 else free_axis(kind.shape)
        if name in self.whole:
            self.whole[late] = self.whole[name]
        if name in self.ports:
            self.ports[late] = self.ports[name]
        before = self.kept(name, replace(clock, axis=axis), Reach(1), count)
        moved = Rearrange(np.arange(kind.size, dtype=np.int32).reshape(kind.shape))
        self.add(Node(late, moved, (before,)), replace(self.clock(before), axis=clock.axis))
        return late

    def physical(self, name: str) -> Clock:
        """The clock of a value whose frames lie along an axis."""
        clock = self.clock(name)
        return self.entered(name, clock) if clock.axis == RAW else clock

    def after(self, clock: Clock, reach: Reach, end: int) -> Clock:
        """The clock of what reads several frames."""
        frames = (clock.frames + reach.lead + reach.tail - reach.span) // reach.stride + 1
        delay = clock.delay + clock.stride * (reach.span - 1 - reach.lead)
        padded = -(-max(0, clock.padded + reach.lead) // reach.stride)
        stride = clock.stride * reach.stride
        return replace(clock, frames=frames, stride=stride, delay=delay, end=end, padded=padded)

    def frames(self, name: str, clock: Clock) -> Frames:
        """How the frames of a value lie in it over the window."""
        if not clock.framed:
            raise NotUniform("its inputs come at different times")
        return self.ports[name] if clock.axis == RAW else frames_of(self.whole[name].shape, clock.axis)

    def entered(self, source: str, clock: Clock) -> Clock:
        """An input (or the states of a loop) that is read without a rearrangement: its frames in physical order."""
        kind = self.whole[source]
        index = np.arange(kind.size, dtype=np.int32).reshape(kind.shape)
        moved = frame_positions(index, self.ports[source])
        sizes = [self.several(clock) if k == moved.axis else n for k, n in enumerate(moved.inside.shape)]
        self.types[source] = replace(self.types[source], shape=(sizes[0], sizes[1], sizes[2]))
        return replace(clock, axis=moved.axis)

    def kept(self, source: str, clock: Clock, reach: Reach, ago: int = 0) -> str:
        """The last frames of a value, as they were so many frames ago."""
        reach = replace(reach, span=reach.span + ago, tail=reach.tail + ago)
        name = f"{source}/last_{reach.span}_{reach.stride}_{reach.lead}_{reach.tail}"
        name += f"_every_{reach.gap}" if reach.gap > 1 else ""
        oldest = f"{name}_but_{ago}" if ago else name
        if name not in self.types:
            self.ends += 1
            self.add(Node(name, self.history(clock, reach), (source,)), self.after(clock, reach, self.ends))
        if oldest not in self.types:
            kind = self.types[name]
            frames = np.arange(kind.size, dtype=np.int32).reshape(kind.shape)
            index = np.ascontiguousarray(frames.take(range(kind.shape[clock.axis] - ago), clock.axis))
            self.add(Node(oldest, Rearrange(index), (name,)), self.clocks[name])
        return oldest

    def spaced(self, source: str, reach: Reach) -> bool:
        """Whether only the frames that a dilated window reads are handed on: packed bits of one pixel."""
        kind = self.types[source]
        return reach.gap > 1 and self.step == 1 and kind.storage == "bits" and kind.size == kind.shape[2]

    def history(self, clock: Clock, reach: Reach) -> History:
        """What keeps the frames that are read, with the newest end."""
        ends = (clock.end, self.ends)
        if reach.gap > 1:
            frames = (reach.span, reach.stride, reach.lead, reach.tail)
            return SpacedHistory(clock.axis, *frames, ends=ends, gap=reach.gap)
        return History(clock.axis, reach.span, reach.stride, reach.lead, reach.tail, ends=ends, pace=self.pace(clock))

    def clock(self, name: str) -> Clock:
        """The clock of a value that has one."""
        clock = self.clocks[name]
        assert clock is not None
        return clock

    def add(self, node: Node, clock: Clock | None) -> None:
        """Append an operation."""
        self.types[node.output] = node.op.infer([self.types[name] for name in node.inputs])
        self.clocks[node.output] = clock
        self.nodes.append(node)
