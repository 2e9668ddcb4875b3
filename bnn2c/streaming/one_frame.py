"""Operations restricted to the positions along time of one step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.expr import remap_consts
from bnn2c.fixed_point.program import TABLES, Program
from bnn2c.ir import Op, TensorType
from bnn2c.ir.window import Window
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.average_pool import AveragePool
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.byte_table import ByteTable
from bnn2c.ops.concat import Concat
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.fixed_average_pool import FixedAveragePool
from bnn2c.ops.fixed_conv2d import FixedConv2d
from bnn2c.ops.fixed_map import FixedMap
from bnn2c.ops.fixed_reduce import FixedReduce
from bnn2c.ops.fixed_softmax import FixedSoftmax
from bnn2c.ops.integer_conv2d import IntegerConv2d
from bnn2c.ops.level_sum import LevelSum
from bnn2c.ops.level_values import LevelValues
from bnn2c.ops.map import Map
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.reduce import Reduce
from bnn2c.ops.sign_conv2d import SignedSums
from bnn2c.ops.sliding_sum import SlidingSum
from bnn2c.ops.softmax import Softmax
from bnn2c.ops.to_fixed import ToFixed

CONVOLUTIONS = (BinaryConv2d, Conv2d, FixedConv2d, IntegerConv2d, SignedSums)
AVERAGES = (AveragePool, FixedAveragePool)
WINDOWED = (*CONVOLUTIONS, MaxPool, *AVERAGES)
REDUCTIONS = (Reduce, LevelSum, FixedReduce)
LOCAL = (ByteTable, LevelValues, Softmax, FixedSoftmax, ToFixed, ArgMax, *REDUCTIONS, SlidingSum)
MOST_VARIANTS = 64


class NotUniform(Exception):
    """An operation needs what a stream cannot give; the text says what."""


@dataclass(frozen=True)
class Reach:
    """What an operation reads: `span` frames, again every `stride` frames.

    `lead` of the first window's frames lie before the first frame, and `tail` of the last one's behind the last frame.
    Of the frames of a window it reads every `gap`-th one.
    """

    span: int
    stride: int = 1
    lead: int = 0
    tail: int = 0
    gap: int = 1


def reach_along(op: Op, axis: int, kind: TensorType) -> Reach:
    """How many frames an operation reads."""
    if isinstance(op, REDUCTIONS):
        return Reach(kind.shape[1] if axis == 1 else 1)
    if not isinstance(op, WINDOWED):
        return Reach(1)
    if axis > 1:
        raise NotUniform("time is the channel axis there")
    window = op.window
    span = window.dilation[axis] * (window.kernel[axis] - 1) + 1
    lead, tail = window.pads[axis], window.pads[axis + 2]
    if max(lead, tail) and not _zeros_around(op, max(lead, tail), span):
        raise NotUniform("it pads along time with other numbers than zero")
    shown = -lead % window.stride[axis] + span
    if isinstance(op, BinaryConv2d) and lead + tail and shown > kind.shape[axis]:
        raise NotUniform(f"the window is too short to show a frame without padding; {shown} frames are enough")
    return Reach(span, window.stride[axis], lead, tail, window.dilation[axis] if span > 1 else 1)


def _zeros_around(op: Op, most: int, span: int) -> bool:
    """Whether the frames outside the window read as zeros: memory that is cleared."""
    if not isinstance(op, CONVOLUTIONS) or most >= span:
        return False
    if isinstance(op, FixedConv2d):
        return op.pad is None or not op.pad.any()
    return not np.any(op.pad_value) if isinstance(op, (Conv2d, SignedSums)) else True


@dataclass(frozen=True, eq=False)
class Variants:
    """Operations with the constants of different frames.

    `order` numbers those of the first frames, `ending` those of the last frames, the last one first. Frames between
    them are like the last one of `order`.
    """

    ops: tuple[Op, ...]
    order: Array
    ending: Array


@dataclass(frozen=True)
class Place:
    """Where operations are restricted to: positions along `axis`.

    Attributes:
        frames: positions over the window, of which `early` come before the window ends.
        padded: as many of the first ones may differ, since padding in front of the window reaches them.
        count: positions in a step.
        strided: whether a step has more frames than those of one window.
        spaced: whether only the frames come that a dilated window reads.
    """

    axis: int
    frames: int
    early: int
    padded: int = 0
    count: int = 1
    strided: bool = False
    spaced: bool = False

    @property
    def alike(self) -> Array:
        """One class for all positions."""
        return np.zeros(self.count, np.int64)


def at_frames(op: Op, place: Place) -> Op | Variants:
    """The operation for the positions of one step; variants are for one position each."""
    axis = place.axis
    if isinstance(op, AVERAGES):
        return replace(op, window=_still(op.window, place), divisors=_first(op.divisors, axis))
    if isinstance(op, BinaryConv2d) and op.thresholds is not None:
        op = replace(op, row_class=place.alike) if axis == 0 else replace(op, col_class=place.alike)
    if isinstance(op, WINDOWED):
        return replace(op, window=_still(op.window, place))
    if isinstance(op, (Quantize, Map, FixedMap)):
        return _settled(op, place)
    if isinstance(op, LOCAL) or (isinstance(op, Concat) and op.axis != axis):
        return op
    raise NotUniform(f"{op.kind} has no form for streams")


def _still(window: Window, place: Place) -> Window:
    """No padding along time, which is in the past; no stride for a single position; no dilation of spaced frames."""
    stride, pads, dilation = list(window.stride), list(window.pads), list(window.dilation)
    dilation[place.axis] = 1 if place.spaced else dilation[place.axis]
    stride[place.axis] = stride[place.axis] if place.strided else 1
    pads[place.axis] = pads[place.axis + 2] = 0
    still = replace(window, stride=(stride[0], stride[1]), dilation=(dilation[0], dilation[1]))
    return replace(still, pads=(pads[0], pads[1], pads[2], pads[3]))


def _first(array: Array, axis: int) -> Array:
    """The entry of the first frame of a constant that is the same for all."""
    if array.ndim <= axis or array.shape[axis] == 1:
        return array
    kept = array.take([0], axis)
    if not bool((array == kept).all()):
        raise NotUniform("its constants differ from frame to frame")
    return kept


def _settled(op: Quantize | Map | FixedMap, place: Place) -> Op | Variants:
    """One operation for all frames, or variants of the first and the last ones, between which nothing changes."""
    frames, kinds = place.frames, _kinds(op, place.axis, place.frames)
    before, behind = kinds[: place.early], kinds[place.early :]
    late = np.flatnonzero(before != before[-1])
    order = before[: late[-1] + 2 if len(late) else 1]
    behind = behind[:0] if (behind == before[-1]).all() else behind
    numbers, first = np.unique(kinds, return_index=True)
    used = np.isin(numbers, np.concatenate([order, behind]))
    if used.sum() > MOST_VARIANTS or len(order) > max((frames + 1) // 2, place.padded + 1):
        raise NotUniform("its constants differ from frame to frame")
    if used.sum() > 1 and place.padded >= place.early:
        raise NotUniform(f"padding reaches all frames; {place.padded - place.early + 1} more in the window are enough")
    if used.sum() == 1:
        return _at(op, place, int(first[used][0]))
    variants = tuple(_at(op, replace(place, count=1), int(frame)) for frame in first[used])
    order, ending = (np.searchsorted(numbers[used], found).astype(np.uint8) for found in (order, behind[::-1]))
    return Variants(variants, order, ending)


def _kinds(op: Quantize | Map | FixedMap, axis: int, frames: int) -> Array:
    """Equal numbers for frames with equal constants."""
    if isinstance(op, Quantize):
        if axis < 2:
            return np.asarray((op.row_class, op.col_class)[axis])
        channels = np.moveaxis(np.concatenate([op.breaks, op.codes], axis=3), 2, 0).reshape(frames, -1)
        return np.unique(channels, axis=0, return_inverse=True)[1].ravel()
    if isinstance(op, FixedMap):
        return np.asarray((op.program.classes.rows, op.program.classes.cols, np.zeros(frames))[axis])
    found: list[Array] = [np.zeros((frames, 1))]

    def collect(array: Array) -> Array:
        if array.shape[axis] > 1:
            found.append(np.moveaxis(array, axis, 0).reshape(frames, -1).astype(np.float64))
        return array

    remap_consts(op.expr, collect)
    return np.unique(np.concatenate(found, axis=1), axis=0, return_inverse=True)[1].ravel()


def _at(op: Quantize | Map | FixedMap, place: Place, frame: int) -> Op:
    """The operation with the constants of one frame."""
    axis = place.axis
    if isinstance(op, Quantize):
        kept = [frame] * place.count if axis == 2 else [int((op.row_class, op.col_class)[axis][frame])]
        rows, cols = (place.alike if axis == k else found for k, found in enumerate((op.row_class, op.col_class)))
        breaks, codes = op.breaks.take(kept, axis), op.codes.take(kept, axis)
        return replace(op, breaks=breaks, codes=codes, row_class=rows, col_class=cols)
    shape = tuple(place.count if k == axis else n for k, n in enumerate(op.shape))
    if isinstance(op, FixedMap):
        return replace(op, program=_program_at(op.program, place, frame), shape=(shape[0], shape[1], shape[2]))
    expr = remap_consts(op.expr, lambda c: c.take([frame], axis) if c.shape[axis] > 1 else c)
    return replace(op, expr=expr, shape=(shape[0], shape[1], shape[2]))


def _program_at(program: Program, place: Place, frame: int) -> Program:
    """A fixed-point program with the constants of one row or column."""
    classes, axis, alone = program.classes, place.axis, np.zeros(1, np.int64)
    if axis == 2:
        alike = [replace(s, arrays=tuple(_first(a, 2) for a in s.arrays)) for s in program.steps if s.fn not in TABLES]
        both = iter(alike)
        all_steps = tuple(s if s.fn in TABLES else next(both) for s in program.steps)
        return Program(all_steps, replace(classes, channels=place.count))
    kept = [int((classes.rows, classes.cols)[axis][frame])]
    steps = [
        s
        if s.fn in TABLES
        else replace(s, arrays=tuple(a.take(kept, axis) if a.shape[axis] > 1 else a for a in s.arrays))
        for s in program.steps
    ]
    if axis == 0:
        return Program(tuple(steps), replace(classes, rows=place.alike, row_of=alone))
    return Program(tuple(steps), replace(classes, cols=place.alike, col_of=alone))
