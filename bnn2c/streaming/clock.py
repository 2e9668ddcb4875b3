"""When the frames of a value come, and how calls that come together are ordered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

RAW = -1
WHOLE = -2
LAST = -3


@dataclass(frozen=True)
class Clock:
    """Time of a value.

    Attributes:
        axis: its physical axis that is time; `RAW` of a graph input or the states of a loop, whose frames lie as the
            caller or the loop wrote them; `WHOLE` of what is computed from all frames of a window; `LAST` of what the
            last step of a loop leaves: the newest one, whenever it is read.
        frames: number in a window.
        stride: steps of the stream from one frame to the next.
        delay: steps before the first frame.
        end: number of the C variable that counts the frames which are still to come, once a stream ends.
        padded: frames at the start of a window for which constants may differ, since padding in front reaches them.
    """

    axis: int
    frames: int
    stride: int = 1
    delay: int = 0
    end: int = 0
    padded: int = 0

    @property
    def beat(self) -> tuple[int, int]:
        """In which steps there is a frame."""
        return self.delay, self.stride

    @property
    def framed(self) -> bool:
        """Whether frames lie along an axis."""
        return self.axis not in (WHOLE, LAST)

    def beside(self, other: Clock) -> bool:
        """Whether frames of both belong together, one to one."""
        return (self.frames, self.beat, self.framed) == (other.frames, other.beat, other.framed)


def ranks(beats: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Numbers of beats such that each one runs only in steps in which the one before it runs.

    Raises:
        ValueError: there is no such order.
    """
    order = sorted(set(beats))
    for (delay, stride), (later, longer) in zip(order, order[1:], strict=False):
        if longer % stride or (later - delay) % stride:
            raise ValueError("branches run in different steps")
    return {beat: rank for rank, beat in enumerate(order)}
