"""Rearrangements in a stream: within frames, of some of the frames, or of the whole window that a frame completes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.ir import Node
from bnn2c.ops.rearrange import Rearrange
from bnn2c.streaming.clock import LAST, RAW, WHOLE, Clock
from bnn2c.streaming.one_frame import NotUniform, Reach
from bnn2c.streaming.positions import Moved, frame_positions, inside_step
from bnn2c.streaming.values import Values, free_axis

LAST_STATE = "only its last state is read, and steps of several frames would need all of them"


class Moves(Values):
    """Values, and what rearranges them."""

    def moved(self, node: Node, index: Array, clock: Clock) -> None:
        """Within frames, all or some of them; or a flattened window, which each new frame completes."""
        source = node.inputs[0]
        try:
            found = frame_positions(index, self.frames(source, clock))
        except NotUniform:
            if clock.axis == RAW:
                raise
            self._flattened(node, index, clock, free_axis(index.shape) if self.step > 1 else WHOLE)
            return
        single = found.axis == WHOLE
        if single and self.step > 1:
            found = replace(found, axis=free_axis(index.shape))
        if found.axis == 2 and self.whole[node.output].storage == "bits":
            raise NotUniform("it packs several frames into a word")
        reach = Reach(1, found.step, -found.first, found.last + 1 - clock.frames)
        if single and clock.axis == RAW and not reach.tail and source not in {port.value for port in self.graph.inputs}:
            if self.step > 1:
                raise NotUniform(LAST_STATE)
            reach, found = Reach(1), replace(found, axis=LAST)
        kept = node.output if reach == Reach(1) else f"{node.output}/each"
        op = Rearrange(self._inside(found, source, clock))
        self.add(replace(node, output=kept, op=op), replace(clock, axis=found.axis))
        if reach != Reach(1):
            self._some(node, kept, reach, single)

    def _inside(self, found: Moved, source: str, clock: Clock) -> Array:
        """Positions within the frames of a step."""
        count, whole = self.several(clock), self.frames(source, clock)
        one = replace(whole, count=1)
        if count == 1:
            return found.inside
        return np.concatenate([inside_step(found.inside, one, count, t) for t in range(count)], axis=found.axis)

    def _flattened(self, node: Node, index: Array, clock: Clock, axis: int) -> None:
        """What each new frame completes: positions in the whole window; the windows of a step lie along `axis`."""
        source, reach, whole = node.inputs[0], Reach(clock.frames), self.frames(node.inputs[0], clock)
        kept = self.kept(source, clock, reach)
        if axis != WHOLE:
            width, count = self.types[kept].shape[clock.axis], self.several(clock)
            index = np.concatenate([inside_step(index, whole, width, t) for t in range(count)], axis=axis)
        op = Rearrange(np.ascontiguousarray(index))
        completed = self.after(clock, reach, self.clock(kept).end)
        self.add(replace(node, op=op, inputs=(kept,)), replace(completed, axis=axis))

    def _some(self, node: Node, source: str, reach: Reach, single: bool) -> None:
        """Some of the frames, in equal distances; one that is not the last has to wait for the others."""
        source = self.late(source, -reach.tail, True) if single and reach.tail else source
        clock = self.clock(source)
        axis = self.types[source].shape.index(1) if clock.axis == WHOLE else clock.axis
        self.ends += 1
        op, wanted = self.history(replace(clock, axis=axis), reach), max(1, self.several(clock) // reach.stride)
        name = node.output if op.kept == wanted else f"{node.output}/kept"
        self.add(replace(node, output=name, op=op, inputs=(source,)), self.after(clock, reach, self.ends))
        if op.kept != wanted:
            index = np.arange(self.types[name].size, dtype=np.int32).reshape(self.types[name].shape)
            chosen = np.ascontiguousarray(index.take(range(0, reach.stride * wanted, reach.stride), axis))
            self.add(replace(node, op=Rearrange(chosen), inputs=(name,)), self.clocks[name])

    def windows_as_rows(self, node: Node, clock: Clock) -> tuple[Node, Clock]:
        """The whole windows of a step side by side [windows, frames, C], for what reduces one."""
        source = node.inputs[0]
        outer, frames, channels = self.whole[source].shape
        if outer > 1:
            raise NotUniform("it reduces several rows of whole windows")
        name = f"{source}/windows"
        index = np.arange(frames * channels, dtype=np.int32).reshape(1, frames, channels)
        self._flattened(Node(name, node.op, (source,), node.origin), index, clock, 0)
        self.whole[name] = replace(self.whole[source], shape=(1, frames, channels))
        return replace(node, inputs=(name,)), self.clock(name)
