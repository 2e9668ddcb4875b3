"""Real-valued convolution; every linear layer with constant weights is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.errors import plural
from bnn2c.ir.op import Array, Cost, Op, rounded
from bnn2c.ir.types import TensorType
from bnn2c.ir.window import Window
from bnn2c.kernels.c_struct import window_initializer

SHORT_ROW = 64


@dataclass(frozen=True, eq=False)
class Conv2d(Op):
    """`out[y, x, o] = sum over taps and channels of input * weights[o]` (ONNX Conv, channels last, no bias).

    Attributes:
        weights: float32 [O, KH, KW, I / groups].
        window: kernel, stride, dilation, pads.
        groups: input channel g*I/groups … belongs to output channels g*O/groups ….
        pad_value: the real number outside the input, scalar or [I].
    """

    weights: Array
    window: Window
    groups: int = 1
    pad_value: float | Array = 0.0

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Input [H, W, I] with I = groups * weights.shape[3]."""
        height, width, channels = inputs[0].shape
        if channels != self.groups * self.weights.shape[3]:
            raise ValueError(f"{plural(channels, 'input channel')}, weights want {self.groups * self.weights.shape[3]}")
        return TensorType((*self.window.output(height, width), self.weights.shape[0]))

    def reference(self, *inputs: Array) -> Array:
        """Sum in float64, rounded once: the closest float32 to real arithmetic."""
        patches = self.window.patches(inputs[0].astype(np.float64), self.pad_value)
        return rounded(linear(patches, self.weights, self.groups), inputs[0])

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Weights (depthwise: channels last), and the pixel outside the input unless it is zero or never read."""
        weights = self.weights[..., 0].transpose(1, 2, 0) if self.depthwise else self.weights
        found = {"weights": np.ascontiguousarray(weights, np.float32)}
        if any(self.window.pads) and np.any(self.pad_value):
            found["pad"] = np.full(inputs[0].shape[2], self.pad_value, np.float32)
        return found

    @property
    def depthwise(self) -> bool:
        """One input channel for each output channel."""
        return self.groups > 1 and self.weights.shape[0] == self.groups and self.weights.shape[3] == 1

    @property
    def gathers(self) -> bool:
        """Windows of short kernel rows are copied first, so that each output channel is one long dot product."""
        kernel_h, kernel_w, channels = self.weights.shape[1:]
        return self.groups == 1 and kernel_h > 1 and kernel_w * channels <= SHORT_ROW and self.weights.shape[0] >= 4

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """One window."""
        return 4 * self.weights[0].size if self.gathers else 0

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Geometry and kernel variant."""
        window = window_initializer(self.window, inputs[0].shape)
        return {"window": window, "depthwise": self.depthwise, "patch": self.gathers}

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """One real multiply-accumulate per weight and output pixel."""
        out = self.infer(inputs)
        return Cost(real_macs=self.weights.size * out.shape[0] * out.shape[1], weight_bytes=4 * self.weights.size)


def linear(patches: Array, weights: Array, groups: int) -> Array:
    """Grouped dot products of patches [OH, OW, KH, KW, I] with weights [O, KH, KW, I/groups], in float64."""
    out_h, out_w, kernel_h, kernel_w, channels = patches.shape
    per_group = patches.reshape(out_h * out_w, kernel_h, kernel_w, groups, channels // groups)
    kernels = weights.astype(np.float64).reshape(groups, weights.shape[0] // groups, -1)
    columns = per_group.transpose(3, 0, 1, 2, 4).reshape(groups, out_h * out_w, -1)
    sums = columns @ kernels.transpose(0, 2, 1)
    return np.asarray(sums.transpose(1, 0, 2).reshape(out_h, out_w, -1))


_rng = np.random.default_rng(0)
Conv2d.CASES = (
    (Conv2d(_rng.standard_normal((5, 1, 1, 9)), Window((1, 1))), (TensorType((1, 1, 9)),)),
    (Conv2d(_rng.standard_normal((6, 3, 3, 2)), Window((3, 3), pads=(1, 1, 1, 1))), (TensorType((5, 4, 2)),)),
    (Conv2d(_rng.standard_normal((4, 3, 2, 3)), Window((3, 2), (2, 1), (1, 2), (0, 1, 2, 0)), 2, -1.5),
     (TensorType((6, 5, 6)),)),
    (Conv2d(_rng.standard_normal((8, 3, 3, 1)), Window((3, 3), pads=(1, 0, 1, 0)), 8), (TensorType((4, 4, 8)),)),
)  # fmt: skip
