"""The last frames of a stream: what a sliding window sees when frames come one at a time, or some at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from bnn2c.ir.op import Pace, StreamStep
from bnn2c.ir.types import WORD_BITS, TensorType
from bnn2c.kernels.steps import units


@dataclass(frozen=True, eq=False)
class History(StreamStep):
    """Appends frames and drops as many of the oldest ones.

    The past of a new stream is zeros: `lead` of them count as frames, as padding in front of a window. The output is
    state: it outlives a step. Where a stream can end, `end[e]` is the number of frames that are still to come after
    the first one of this step; frames behind the end are zeros. The output's is
    `floor((end + tail + slack + 1) / stride) - 1`: `tail` frames of padding lie behind the window.

    With one frame in a step it counts: ready after `span - lead` frames, then after every `stride` frames, and until
    then nothing that reads it runs. Steps of several frames (`pace`) are all alike.

    Attributes:
        axis: 0 rows, 1 columns, 2 channels: the physical axis that is time.
        span: frames of a window.
        stride: frames from one window to the next.
        lead: frames of padding, less than `span`; -n drops the first n frames.
        tail: frames of padding behind the window; -n drops the last n frames.
        rank: number of the C variable that says whether it is ready.
        ends: numbers of the end before and after it (None when nothing reads it); None where a stream cannot end.
        pace: the frames that come in a step, if there are several.
    """

    axis: int
    span: int
    stride: int
    lead: int = 0
    tail: int = 0
    rank: int = 0
    ends: tuple[int, int | None] | None = None
    pace: Pace | None = None

    @property
    def waits(self) -> bool:
        """Whether there are steps without a result."""
        return self.pace is None and (self.stride > 1 or self.lead < self.span - 1)

    @property
    def fresh(self) -> int:
        """Frames that come in a step."""
        return self.pace.frames if self.pace else 1

    @property
    def slack(self) -> int:
        """Frames behind the last window of a step: windows need not end where steps end."""
        if self.pace is None:
            return self.stride - 1
        return self.stride - 1 - (self.pace.late + self.span - 1 - self.lead) % self.stride

    @property
    def kept(self) -> int:
        """Frames of the output: those of all windows of a step, and the slack."""
        return self.fresh - self.stride + self.span + self.slack

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """The frames of a step in, `kept` frames out, in the same layout."""
        kind = inputs[0]
        along_rows = prod(kind.shape[: self.axis]) == 1
        if kind.shape[self.axis] != self.fresh or (kind.layout == "planes" and (not along_rows or self.axis == 2)):
            raise ValueError(f"{kind} is not {self.fresh} frames along axis {self.axis}")
        sizes = list(kind.shape)
        sizes[self.axis] = self.kept
        return TensorType((sizes[0], sizes[1], sizes[2]), kind.storage, kind.planes, kind.layout)

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The counter of frames that are still to come."""
        return 0 if self.pace else 8

    def cleared(self, inputs: Sequence[TensorType]) -> tuple[int, int]:
        """Bytes that a reset clears: of the output, and of the scratch after the counter.

        Without padding no result depends on the past of a new stream, but the spare bits of planes have to be 0.
        """
        read = self.lead > 0 or self.pace or inputs[0].layout == "planes"
        return (self.infer(inputs).nbytes if read else 0), 0

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Rows, and the words or elements of one row of a frame; of planes, channels and a frame's pixels or words."""
        kind = inputs[0]
        if kind.layout == "planes":
            pixels = kind.size // kind.shape[2] // self.fresh
            whole = pixels % WORD_BITS == 0  # frames begin with words
            suffix, run = ("bits", pixels // WORD_BITS) if whole else ("planes", pixels)
            return {"suffix": suffix, "rows": kind.shape[2], "run": run, **self.calls}
        rows = prod(kind.shape[: self.axis])
        run = units(kind, kind, kind.size) // rows // self.fresh
        return {"suffix": kind.storage, "rows": rows, "run": run, **self.calls}

    @property
    def calls(self) -> dict[str, str]:
        """C text around the kernel's call: where `ready` goes, the first and last frames, and what the end becomes."""
        texts = {"ready": f"ready{self.rank} = " if self.waits else "(void)", "end": ""}
        texts["first"], texts["last"] = self.pace.first if self.pace else "0", "BNN2C_ENDLESS"
        if self.ends is not None:
            before, after = self.ends
            texts["last"] = f"end{before}"
            if after is not None:
                shift = self.tail + self.slack + 1 - self.stride
                texts["end"] = f"const int32_t end{after} = bnn2c_from_end(end{before}, {shift}, {self.stride});"
        return texts
