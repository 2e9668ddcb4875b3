"""Convolution of real activations with two-valued weights (BinaryConnect): additions and subtractions only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Cost, Op, rounded
from bnn2c.ir.types import TensorType
from bnn2c.ir.window import Window
from bnn2c.kernels.c_struct import window_initializer
from bnn2c.ops.conv2d import linear
from bnn2c.packing import pack_words


@dataclass(frozen=True, eq=False)
class SignedSums(Op, ABC):
    """`out[y, x, o] = scale[o] * sum over taps and channels of sign * input`: what the kernels of such layers share.

    Attributes:
        weights: the signs, as the subclass stores them, [O, KH, KW, I / groups].
        scale: float32 [O].
        window: kernel, stride, dilation, pads.
        groups: channel groups.
        pad_value: the real number outside the input.
    """

    weights: Array
    scale: Array
    window: Window
    groups: int = 1
    pad_value: float = 0.0

    @property
    @abstractmethod
    def signs(self) -> Array:
        """The weights as numbers."""

    @property
    @abstractmethod
    def bits(self) -> Array:
        """The weights as the kernel reads them, uint8 [O, bits]."""

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Float in, float out."""
        return TensorType((*self.window.output(*inputs[0].shape[:2]), self.weights.shape[0]))

    def reference(self, *inputs: Array) -> Array:
        """Sum in float64, scale, round once."""
        patches = self.window.patches(inputs[0].astype(np.float64), self.pad_value)
        weights = self.signs * self.scale.astype(np.float64)[:, None, None, None]
        return rounded(linear(patches, weights, self.groups), inputs[0])

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """Counted as binary work: no multiplication is executed in the inner loop."""
        out = self.infer(inputs)
        macs = out.size * self.weights[0].size
        return Cost(binary_macs=macs, weight_bytes=sum(a.nbytes for a in self.constants(inputs).values()))

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """One run of words per output channel; the scales unless all are 1."""
        found = {"weights": pack_words(self.bits)}
        return found if (self.scale == 1).all() else found | {"scale": self.scale.astype(np.float32)}

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """One kernel, with a form for each kind of weights."""
        return ("bnn2c_sign_conv2d.h",)

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Geometry and weight words of one output channel."""
        words = self.constants(inputs)["weights"].shape[1]
        return {"window": window_initializer(self.window, inputs[0].shape), "words": words}

    def stack_bytes(self, inputs: Sequence[TensorType]) -> int:
        """Eight tables of 16 sums."""
        return 1536


class SignConv2d(SignedSums):
    """`out[y, x, o] = scale[o] * sum over taps and channels of (+1 or -1) * input`.

    Weights are uint8 bits, 0 stands for +1 and 1 for -1.
    """

    @property
    def signs(self) -> Array:
        """+1 and -1."""
        return 1.0 - 2.0 * self.weights

    @property
    def bits(self) -> Array:
        """One bit per weight."""
        return self.weights.reshape(len(self.weights), -1)

    def of_channels(self, which: Array) -> SignConv2d:
        """The layer for these output channels; it has no groups."""
        return replace(self, weights=self.weights[which], scale=self.scale[which])


_rng = np.random.default_rng(0)
SignConv2d.CASES = (
    (SignConv2d(_rng.integers(0, 2, (5, 1, 1, 37)), np.linspace(0.5, 1, 5), Window((1, 1))), (TensorType((1, 1, 37)),)),
    (SignConv2d(_rng.integers(0, 2, (6, 3, 3, 2)), np.ones(6), Window((3, 3), (1, 2), pads=(1, 1, 1, 1)), 2, 0.5),
     (TensorType((4, 5, 4)),)),
)  # fmt: skip
