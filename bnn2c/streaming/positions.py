"""How a tensor consists of frames, and what a rearrangement does with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.streaming.clock import WHOLE
from bnn2c.streaming.one_frame import NotUniform


@dataclass(frozen=True)
class Frames:
    """How a tensor consists of frames: its element (outer, frame, inner) in C order; `count` is 1 without time."""

    outer: int
    count: int
    inner: int


def frames_of(shape: tuple[int, ...], axis: int) -> Frames:
    """The frames of a tensor of this shape along an axis."""
    return Frames(int(np.prod(shape[:axis])), shape[axis], int(np.prod(shape[axis + 1 :])))


def inside_step(index: Array, frames: Frames, kept: int, shift: int = 0) -> Array:
    """Positions in a tensor of `frames`, as positions in one of `kept` frames, `shift` frames later."""
    outer, rest = np.divmod(index, frames.count * frames.inner)
    moved = outer * (kept * frames.inner) + rest + shift * frames.inner
    return np.asarray(np.where(index < 0, -1, moved), np.int32)


@dataclass(frozen=True)
class Moved:
    """A rearrangement within frames.

    Attributes:
        axis: time after it; `WHOLE` when one frame is left.
        first, step, last: the frames that it keeps.
        inside: positions of the elements within one frame.
    """

    axis: int
    first: int
    step: int
    last: int
    inside: Array


def frame_positions(index: Array, source: Frames) -> Moved:
    """What a rearrangement does with frames.

    Args:
        index: positions [H, W, C] in the source.
        source: frames of the source.

    Raises:
        NotUniform: frames are mixed, or treated differently.
    """
    if (index < 0).any():
        raise NotUniform("it adds elements without a source")
    place = index // source.inner % source.count
    rest = index // source.inner // source.count * source.inner + index % source.inner
    for axis in range(3):
        times = np.moveaxis(place, axis, 0).reshape(place.shape[axis], -1)
        same = np.moveaxis(rest, axis, 0).reshape(place.shape[axis], -1)
        first, step = int(times[0, 0]), int(times[-1, 0] - times[0, 0]) // max(1, len(times) - 1)
        wanted = first + step * np.arange(len(times))
        if step > 0 and (wanted == times.T).all() and (same == same[0]).all():
            return Moved(axis, first, step, int(wanted[-1]), np.asarray(rest.take([0], axis), np.int32))
    if (place == place.flat[0]).all():
        frame = int(place.flat[0])
        return Moved(WHOLE, frame, 1, frame, np.asarray(rest, np.int32))
    raise NotUniform("it mixes frames")
