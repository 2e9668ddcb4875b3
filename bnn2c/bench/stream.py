"""Counts of a stream: single steps, until all of them are alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bnn2c.toolchain import TargetRun
from bnn2c.toolchain.layout import Array

__all__ = ["Schedule"]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The steps of a stream that are counted.

    Attributes:
        axis: of the inputs that is time.
        window: frames of the window.
        frames: frames of a step.
        filling: steps until the first result, and at least those of the window.
        steady: steps after these, a whole number of periods of results, and at least those of the window.
    """

    axis: int
    window: int
    frames: int
    filling: int
    steady: int

    @classmethod
    def of(cls, axis: int, stream: Mapping[str, Any]) -> Schedule:
        """The schedule for the manifest's part on the stream."""
        window, frames = stream["window_frames"], stream["step_frames"]
        period = -(-stream["result_every"] // frames)
        filling = -(-max(window, stream["first_result_after"]) // frames)
        return cls(axis, window, frames, filling, -(-window // frames // period) * period)

    @property
    def steps(self) -> int:
        """Steps of one stream."""
        return self.filling + self.steady

    def samples(self, windows: Sequence[Sequence[object]]) -> list[list[Array]]:
        """Inputs of the steps of one stream for each window, which begins again at its end."""
        times = np.arange(self.steps * self.frames).reshape(self.steps, self.frames) % self.window
        return [[np.take(np.asarray(x), place, self.axis) for x in inputs] for inputs in windows for place in times]

    def summary(self, run: TargetRun) -> TargetRun:
        """A run of two streams with the counts of the steps after filling: the longest step, and of each layer."""
        if not run.counts:
            return run
        first, second = run.counts[: self.steps], run.counts[self.steps :]
        pairs = zip(zip(*first, strict=True), zip(*second, strict=True), strict=True)
        return dataclasses.replace(
            run,
            instructions=max(step[0] for step in self._later(first)),
            layer_instructions=[max(counts) for counts in zip(*self._later(first), strict=True)][1:],
            constant_time=first == second,
            constant_layers=[one == other for one, other in pairs][1:],
        )

    def per_frame(self, run: TargetRun) -> dict[str, int | None]:
        """Mean instructions of a frame: once the window is full, and of the window that a stream begins with."""
        found: dict[str, int | None] = {"instructions_per_frame": None, "instructions_per_frame_filling": None}
        if run.counts:
            totals = [step[0] for step in run.counts[: self.steps]]
            early = totals[: -(-self.window // self.frames)]
            found["instructions_per_frame"] = round(np.mean(self._later(totals)) / self.frames)
            found["instructions_per_frame_filling"] = round(np.mean(early) / self.frames)
        return found

    def _later(self, steps: Sequence[Any]) -> Sequence[Any]:
        return steps[self.filling :]
