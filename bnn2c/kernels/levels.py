"""A binary convolution as the kernel families describe it: geometry, and thresholds per border class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bnn2c.ir.types import TensorType
from bnn2c.kernels.shape import Array, ConvShape

if TYPE_CHECKING:
    from bnn2c.ops.binary_conv2d import BinaryConv2d


def shape_of(op: BinaryConv2d, kind: TensorType) -> ConvShape:
    """The operation's geometry as the kernel families describe it."""
    window = op.window
    height, width = window.output(*kind.shape[:2])
    return ConvShape(
        *kind.shape,
        height,
        width,
        op.weights.shape[1],
        *window.kernel,
        *window.stride,
        *window.pads[:2],
        *window.dilation,
        op.groups,
        *op.classes_along,
    )


def class_thresholds(op: BinaryConv2d, shape: ConvShape) -> Array | None:
    """Thresholds `m > t` per padding class, int32 [classes, O]; None when thresholds vary within a padding class."""
    levels = class_levels(op, shape)
    return None if levels is None or levels.shape[2] != 1 else np.asarray(levels[:, :, 0] - 1, np.int32)


def class_levels(op: BinaryConv2d, shape: ConvShape) -> Array | None:
    """Thresholds `acc >= t` per padding class, int32 [classes, O, levels]; None when one class has several."""
    if op.thresholds is None or op.row_class is None or op.col_class is None:
        return None
    rows, cols = shape.row_classes(), shape.col_classes()
    row_of, col_of = _representatives(rows, op.row_class), _representatives(cols, op.col_class)
    if row_of is None or col_of is None:
        return None
    chosen = op.thresholds[row_of][:, col_of]
    return np.asarray(chosen.reshape(-1, *chosen.shape[2:]), np.int32)


def _representatives(outer: Array, inner: Array) -> list[int] | None:
    """The inner class of each outer class, None when one outer class holds several inner ones."""
    found = [set(inner[outer == k].tolist()) for k in range(int(outer.max()) + 1)]
    return [s.pop() for s in found] if all(len(s) == 1 for s in found) else None
