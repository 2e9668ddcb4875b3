"""Operations restricted to one position along time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.expr import remap_consts
from bnn2c.ir import Op, TensorType
from bnn2c.ir.window import Window
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.average_pool import AveragePool
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.byte_table import ByteTable
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.integer_conv2d import IntegerConv2d
from bnn2c.ops.level_sum import LevelSum
from bnn2c.ops.level_values import LevelValues
from bnn2c.ops.map import Map
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.onset import Onset
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.reduce import Reduce
from bnn2c.ops.sign_conv2d import SignConv2d
from bnn2c.ops.sliding_sum import SlidingSum
from bnn2c.ops.softmax import Softmax

CONVOLUTIONS = (BinaryConv2d, Conv2d, IntegerConv2d, SignConv2d)
WINDOWED = (*CONVOLUTIONS, MaxPool, AveragePool)
LOCAL = (ByteTable, LevelValues, Softmax, ArgMax, Reduce, LevelSum, SlidingSum)
MOST_VARIANTS = 16


class NotUniform(Exception):
    """An operation needs what a stream cannot give; the text says what."""


@dataclass(frozen=True)
class Reach:
    """What an operation reads: `span` frames, again every `stride` frames, `lead` of them before the first."""

    span: int
    stride: int
    lead: int = 0


def reach_along(op: Op, axis: int, kind: TensorType) -> Reach:
    """How many frames an operation reads."""
    if isinstance(op, (Reduce, LevelSum)):
        return Reach(kind.shape[1] if axis == 1 else 1, 1)
    if not isinstance(op, WINDOWED):
        return Reach(1, 1)
    if axis > 1:
        raise NotUniform("time is the channel axis there")
    window = op.window
    span, lead = window.dilation[axis] * (window.kernel[axis] - 1) + 1, window.pads[axis]
    if window.pads[axis + 2]:
        raise NotUniform("it pads along time behind the window, which a stream has not")
    if lead and not _zeros_before(op, lead, span):
        raise NotUniform("it pads along time with other numbers than zero")
    return Reach(span, window.stride[axis], lead)


def _zeros_before(op: Op, lead: int, span: int) -> bool:
    """Whether the frames before the window read as zeros: memory that is cleared."""
    if not isinstance(op, CONVOLUTIONS) or lead >= span:
        return False
    return not np.any(op.pad_value) if isinstance(op, (Conv2d, SignConv2d)) else True


def at_one_frame(op: Op, axis: int, frames: int) -> Op:
    """The operation for one position along `axis` of `frames`."""
    if isinstance(op, AveragePool):
        return replace(op, window=_still(op.window, axis), divisors=_first(op.divisors, axis))
    if isinstance(op, WINDOWED):
        return replace(op, window=_still(op.window, axis))
    if isinstance(op, (Quantize, Map)):
        return _settled(op, axis, frames)
    if isinstance(op, LOCAL):
        return op
    raise NotUniform(f"{op.kind} has no form for streams")


def _still(window: Window, axis: int) -> Window:
    """One position along time: no stride, and no padding, which is in the past."""
    stride = (1, window.stride[1]) if axis == 0 else (window.stride[0], 1)
    top, left, bottom, right = window.pads
    return replace(window, stride=stride, pads=(0, left, 0, right) if axis == 0 else (top, 0, bottom, 0))


def _first(array: Array, axis: int) -> Array:
    """The entry of the first frame of a constant that is the same for all."""
    if array.ndim <= axis or array.shape[axis] == 1:
        return array
    kept = array.take([0], axis)
    if not bool((array == kept).all()):
        raise NotUniform("its constants differ from frame to frame")
    return kept


def _settled(op: Quantize | Map, axis: int, frames: int) -> Op:
    """One operation for all frames, or the variants of the first frames, after which nothing changes."""
    kinds = _kinds(op, axis, frames)
    late = np.flatnonzero(kinds != kinds[-1])
    order = kinds[: late[-1] + 2 if len(late) else 1]
    numbers, first, order = np.unique(order, return_index=True, return_inverse=True)
    if len(order) > (frames + 1) // 2 or len(numbers) > MOST_VARIANTS:
        raise NotUniform("its constants differ from frame to frame")
    variants = tuple(_at(op, axis, int(frame)) for frame in first)
    return variants[0] if len(variants) == 1 else Onset(variants, order.ravel().astype(np.uint8))


def _kinds(op: Quantize | Map, axis: int, frames: int) -> Array:
    """Equal numbers for frames with equal constants."""
    if isinstance(op, Quantize):
        return np.asarray(op.row_class if axis == 0 else op.col_class)
    found: list[Array] = [np.zeros((frames, 1))]

    def collect(array: Array) -> Array:
        if array.shape[axis] > 1:
            found.append(np.moveaxis(array, axis, 0).reshape(frames, -1).astype(np.float64))
        return array

    remap_consts(op.expr, collect)
    return np.unique(np.concatenate(found, axis=1), axis=0, return_inverse=True)[1].ravel()


def _at(op: Quantize | Map, axis: int, frame: int) -> Op:
    """The operation of one frame."""
    if isinstance(op, Quantize):
        kept = [int((op.row_class if axis == 0 else op.col_class)[frame])]
        op = replace(op, breaks=op.breaks.take(kept, axis), codes=op.codes.take(kept, axis))
        alone = np.zeros(1, np.int64)
        return replace(op, row_class=alone) if axis == 0 else replace(op, col_class=alone)
    shape = tuple(1 if k == axis else n for k, n in enumerate(op.shape))
    expr = remap_consts(op.expr, lambda c: c.take([frame], axis) if c.shape[axis] > 1 else c)
    return replace(op, expr=expr, shape=(shape[0], shape[1], shape[2]))


@dataclass(frozen=True)
class Frames:
    """How a tensor consists of frames: its element (outer, frame, inner) in C order; `count` is 1 without time."""

    outer: int
    count: int
    inner: int


def frames_of(shape: tuple[int, ...], axis: int) -> Frames:
    """The frames of a tensor of this shape along an axis."""
    return Frames(int(np.prod(shape[:axis])), shape[axis], int(np.prod(shape[axis + 1 :])))


def frame_positions(index: Array, source: Frames) -> tuple[int, Array]:
    """A rearrangement within frames: the physical axis that is time after it, and the positions within one frame.

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
        if len(times) == source.count and (np.arange(source.count) == times.T).all() and (same == same[0]).all():
            return axis, np.asarray(rest.take([0], axis), np.int32)
    raise NotUniform("it mixes frames")
