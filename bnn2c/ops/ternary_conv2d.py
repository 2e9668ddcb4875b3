"""Convolution of real activations with ternary weights: additions and subtractions only."""

from __future__ import annotations

import numpy as np

from bnn2c.ir.op import Array
from bnn2c.ir.types import TensorType
from bnn2c.ir.window import Window
from bnn2c.ops.sign_conv2d import SignedSums


class TernaryConv2d(SignedSums):
    """`out[y, x, o] = scale[o] * sum over taps and channels of (+1, -1 or 0) * input`.

    Weights are int8. What a weight 0 leaves out is never added, so that a large number does not take the digits of the
    others.
    """

    @property
    def signs(self) -> Array:
        """The weights are numbers."""
        return self.weights

    @property
    def bits(self) -> Array:
        """Two bits per weight: of each two, bits 0 and 1 say which is -1, bits 2 and 3 which is 0."""
        flat = self.weights.reshape(len(self.weights), -1)
        pairs = np.pad(flat, ((0, 0), (0, flat.shape[1] % 2))).reshape(len(flat), -1, 2)
        return np.concatenate([pairs < 0, pairs == 0], axis=2).astype(np.uint8).reshape(len(flat), -1)


_rng = np.random.default_rng(0)
TernaryConv2d.CASES = (
    (TernaryConv2d(_rng.integers(-1, 2, (5, 1, 1, 37)), np.linspace(0.5, 1, 5), Window((1, 1))),
     (TensorType((1, 1, 37)),)),
    (TernaryConv2d(_rng.integers(-1, 2, (6, 3, 3, 2)), np.ones(6), Window((3, 3), (1, 2), pads=(1, 1, 1, 1)), 2, 0.5),
     (TensorType((4, 5, 4)),)),
)  # fmt: skip
