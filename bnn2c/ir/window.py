"""Sliding windows over [H, W, C] tensors: the geometry shared by convolutions and pools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Window:
    """Kernel size, stride, dilation (each [height, width]) and pads [top, left, bottom, right] in pixels."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    def output(self, height: int, width: int) -> tuple[int, int]:
        """Output height and width (ONNX Conv, floor mode)."""
        sizes = []
        for axis, size in enumerate((height, width)):
            span = self.dilation[axis] * (self.kernel[axis] - 1) + 1
            sizes.append((size + self.pads[axis] + self.pads[axis + 2] - span) // self.stride[axis] + 1)
        if min(sizes) < 1:
            raise ValueError(f"a {self.kernel} window does not fit into {height}x{width} with pads {self.pads}")
        return sizes[0], sizes[1]

    def patches(self, x: Array, fill: float | Array) -> Array:
        """All windows of `x` [H, W, C], padded with `fill`: [OH, OW, KH, KW, C]."""
        top, left, bottom, right = self.pads
        height, width, channels = x.shape
        padded = np.empty((height + top + bottom, width + left + right, channels), x.dtype)
        padded[...] = fill
        padded[top : top + height, left : left + width] = x
        out_h, out_w = self.output(height, width)
        rows = np.arange(out_h)[:, None] * self.stride[0] + np.arange(self.kernel[0]) * self.dilation[0]
        cols = np.arange(out_w)[:, None] * self.stride[1] + np.arange(self.kernel[1]) * self.dilation[1]
        windows: Array = padded[rows[:, None, :, None], cols[None, :, None, :]]
        return windows

    def valid_taps(self, height: int, width: int) -> tuple[Array, Array]:
        """Which kernel rows [OH, KH] and columns [OW, KW] fall inside the input, as booleans."""
        out = self.output(height, width)
        found = []
        for axis, size in enumerate((height, width)):
            first = np.arange(out[axis])[:, None] * self.stride[axis] - self.pads[axis]
            position = first + np.arange(self.kernel[axis]) * self.dilation[axis]
            found.append((position >= 0) & (position < size))
        return found[0], found[1]

    @property
    def pointwise(self) -> bool:
        """True for a 1x1 kernel with stride 1 and no padding."""
        return self.kernel == (1, 1) and self.stride == (1, 1) and self.pads == (0, 0, 0, 0)
