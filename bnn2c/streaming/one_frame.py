"""Operations restricted to one position along time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

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
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.quantized_conv2d import QuantizedConv2d
from bnn2c.ops.reduce import Reduce
from bnn2c.ops.sign_conv2d import SignConv2d
from bnn2c.ops.softmax import Softmax

WINDOWED = (BinaryConv2d, Conv2d, IntegerConv2d, SignConv2d, MaxPool, AveragePool)
LOCAL = (ByteTable, LevelValues, Softmax, ArgMax)
Classed = TypeVar("Classed", Quantize, BinaryConv2d)


class NotUniform(Exception):
    """An operation needs what a stream cannot give; the text says what."""


def window_along(op: Op, axis: int, kind: TensorType) -> tuple[int, int] | None:
    """(span, stride) in frames of an operation that reads several frames; None for others."""
    if isinstance(op, QuantizedConv2d):
        return window_along(op.conv, axis, kind)
    if isinstance(op, (Reduce, LevelSum)):
        return (kind.shape[1], 1) if axis == 1 else None
    if not isinstance(op, WINDOWED):
        return None
    if axis > 1:
        raise NotUniform("time is the channel axis there")
    window = op.window
    if window.pads[axis] or window.pads[axis + 2]:
        raise NotUniform("it pads along time")
    return window.dilation[axis] * (window.kernel[axis] - 1) + 1, window.stride[axis]


def at_one_frame(op: Op, axis: int) -> Op:
    """The operation for one position along `axis`."""
    if isinstance(op, QuantizedConv2d):
        step = at_one_frame(op.step, axis)
        assert isinstance(step, Quantize)
        return replace(op, conv=at_one_frame(op.conv, axis), step=step)
    if isinstance(op, AveragePool):
        return replace(op, window=_still(op.window, axis), divisors=_first(op.divisors, axis))
    if isinstance(op, BinaryConv2d):
        return replace(_one_class(op, axis), window=_still(op.window, axis))
    if isinstance(op, WINDOWED):
        return replace(op, window=_still(op.window, axis))
    if isinstance(op, Quantize):
        return _one_class(op, axis)
    if isinstance(op, Map):
        shape = tuple(1 if k == axis else n for k, n in enumerate(op.shape))
        return replace(op, expr=remap_consts(op.expr, lambda c: _first(c, axis)), shape=(shape[0], shape[1], shape[2]))
    if isinstance(op, (Reduce, LevelSum, *LOCAL)):
        return op
    raise NotUniform(f"{op.kind} has no form for streams")


def _still(window: Window, axis: int) -> Window:
    """One position along time: no stride."""
    stride = (1, window.stride[1]) if axis == 0 else (window.stride[0], 1)
    return replace(window, stride=stride)


def _first(array: Array, axis: int) -> Array:
    """The entry of the first frame of a constant that is the same for all."""
    if array.ndim <= axis or array.shape[axis] == 1:
        return array
    kept = array.take([0], axis)
    if not bool((array == kept).all()):
        raise NotUniform("its constants differ from frame to frame")
    return kept


def _one_class(op: Classed, axis: int) -> Classed:
    """Thresholds may depend on the position across time only."""
    name = "row_class" if axis == 0 else "col_class"
    classes = getattr(op, name)
    if classes is None:
        return op
    if len(np.unique(classes)) > 1:
        raise NotUniform("its thresholds differ from frame to frame")
    return replace(op, **{name: classes[:1]})


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
