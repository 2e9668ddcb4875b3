"""The last frames of a stream: what a sliding window sees when frames come one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from bnn2c.ir.op import StreamStep
from bnn2c.ir.types import TensorType
from bnn2c.kernels.steps import units


@dataclass(frozen=True, eq=False)
class History(StreamStep):
    """Appends a frame and drops the oldest; ready after `span - lead` frames, then after every `stride` frames.

    The past of a new stream is zeros: `lead` of them count as frames, as padding in front of a window. Its output and
    its counter are state: they outlive a step. Until it is ready nothing that reads it runs. Where a stream can end,
    `end[e]` is the number of frames that are still to come; frames behind the end are zeros. The output's is
    `floor((end + tail) / stride)`: `tail` frames of padding lie behind the window.

    Attributes:
        axis: 0 rows, 1 columns, 2 channels: the physical axis that is time.
        span: frames that are kept.
        stride: frames from one window to the next.
        lead: frames of padding, less than `span`; -n drops the first n frames.
        tail: frames of padding behind the window; -n drops the last n frames.
        rank: number of the C variable that says whether it is ready.
        ends: numbers of the end before and after it (None when nothing reads it); None where a stream cannot end.
    """

    axis: int
    span: int
    stride: int
    lead: int = 0
    tail: int = 0
    rank: int = 0
    ends: tuple[int, int | None] | None = None

    @property
    def waits(self) -> bool:
        """Whether there are steps without a result."""
        return self.stride > 1 or self.lead < self.span - 1

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """One frame in, `span` frames out."""
        kind = inputs[0]
        if kind.shape[self.axis] != 1 or kind.layout != "pixels":
            raise ValueError(f"{kind} is not one frame along axis {self.axis}")
        height, width, channels = kind.shape
        sizes = [height, width, channels]
        sizes[self.axis] = self.span
        return TensorType((sizes[0], sizes[1], sizes[2]), kind.storage, kind.planes)

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The counter of frames that are still to come."""
        return 8

    def cleared(self, inputs: Sequence[TensorType]) -> tuple[int, int]:
        """Bytes that a reset clears: of the output, and of the scratch after the counter."""
        return (self.infer(inputs).nbytes if self.lead > 0 else 0), 0

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Rows, and the words or elements of one row of a frame."""
        kind = inputs[0]
        rows = prod(kind.shape[: self.axis])
        return {"rows": rows, "run": units(kind, kind, kind.size) // rows, **self.calls}

    @property
    def calls(self) -> dict[str, str]:
        """C text around the kernel's call: where `ready` goes, whether there is a frame, and what the end becomes."""
        texts = {"ready": f"ready{self.rank} = " if self.waits else "(void)", "past": "", "end": ""}
        if self.ends is not None:
            before, after = self.ends
            texts["past"] = f"(end{before} < 0) ? NULL : "
            if after is not None:
                texts["end"] = f"const int32_t end{after} = bnn2c_from_end(end{before}, {self.tail}, {self.stride});"
        return texts
