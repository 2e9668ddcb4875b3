"""Convolution of real activations with ternary weights: additions and subtractions only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Cost, Op, rounded
from bnn2c.ir.types import TensorType
from bnn2c.ir.window import Window
from bnn2c.ops.conv2d import linear
from bnn2c.packing import pack_words


@dataclass(frozen=True, eq=False)
class TernaryConv2d(Op):
    """`out[y, x, o] = scale[o] * sum over taps and channels of (+1, -1 or 0) * input`.

    What a weight 0 leaves out is never added, so that a large number does not take the digits of the others.

    Attributes:
        weights: int8 -1, 0, +1 [O, KH, KW, I / groups].
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

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Float in, float out."""
        return TensorType((*self.window.output(*inputs[0].shape[:2]), self.weights.shape[0]))

    def reference(self, *inputs: Array) -> Array:
        """Sum in float64, scale, round once."""
        patches = self.window.patches(inputs[0].astype(np.float64), self.pad_value)
        weights = self.weights * self.scale.astype(np.float64)[:, None, None, None]
        return rounded(linear(patches, weights, self.groups), inputs[0])

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """Counted as binary work: no multiplication is executed in the inner loop."""
        out = self.infer(inputs)
        macs = out.size * self.weights[0].size
        return Cost(binary_macs=macs, weight_bytes=sum(a.nbytes for a in self.constants(inputs).values()))

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Two bits per weight, one run of words per output channel; the scales unless all are 1.

        Of each two weights, bits 0 and 1 say which is -1, bits 2 and 3 which is 0 (bnn2c_sign_conv2d.h).
        """
        flat = self.weights.reshape(len(self.weights), -1)
        pairs = np.pad(flat, ((0, 0), (0, flat.shape[1] % 2))).reshape(len(flat), -1, 2)
        bits = np.concatenate([pairs < 0, pairs == 0], axis=2).astype(np.uint8)
        found = {"weights": pack_words(bits.reshape(len(flat), -1))}
        return found if (self.scale == 1).all() else found | {"scale": self.scale.astype(np.float32)}

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """The kernel of two-valued weights has a form for ternary ones."""
        return ("bnn2c_sign_conv2d.h",)

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Geometry and weight words of one output channel."""
        from bnn2c.kernels.c_struct import window_initializer

        words = self.constants(inputs)["weights"].shape[1]
        return {"window": window_initializer(self.window, inputs[0].shape), "words": words}

    def stack_bytes(self, inputs: Sequence[TensorType]) -> int:
        """Eight tables of 16 sums."""
        return 1536


_rng = np.random.default_rng(0)
TernaryConv2d.CASES = (
    (TernaryConv2d(_rng.integers(-1, 2, (5, 1, 1, 37)), np.linspace(0.5, 1, 5), Window((1, 1))),
     (TensorType((1, 1, 37)),)),
    (TernaryConv2d(_rng.integers(-1, 2, (6, 3, 3, 2)), np.ones(6), Window((3, 3), (1, 2), pads=(1, 1, 1, 1)), 2, 0.5),
     (TensorType((4, 5, 4)),)),
)  # fmt: skip
