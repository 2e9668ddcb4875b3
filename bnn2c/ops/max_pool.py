"""Maximum over sliding windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType
from bnn2c.ir.window import Window
from bnn2c.kernels.c_struct import window_initializer
from bnn2c.packing import pack_words


@dataclass(frozen=True, eq=False)
class MaxPool(Op):
    """ONNX MaxPool on [H, W, C]; pixels outside the input never win.

    On level codes (storage `bits`) smaller codes mean larger values, so the smallest code of each window wins, except
    on the channels of `largest_code`, where a decreasing function was moved in front of the pool.

    Attributes:
        window: kernel, stride, dilation, pads; a pixel of the input in every window.
        largest_code: bool [C], only for storage `bits`; None means no channel.
    """

    window: Window
    largest_code: Array | None = None

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Same storage as the input."""
        kind = inputs[0]
        return TensorType((*self.window.output(*kind.shape[:2]), kind.shape[2]), kind.storage, kind.planes)

    def reference(self, *inputs: Array) -> Array:
        """Reduce every window, padded with the neutral element."""
        (x,) = inputs
        if x.dtype == np.uint8 and self.largest_code is not None:
            smallest = self.window.patches(x, 255).min(axis=(2, 3))
            largest = self.window.patches(x, 0).max(axis=(2, 3))
            return np.asarray(np.where(self.largest_code, largest, smallest))
        neutral = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        return np.asarray(self.window.patches(x, neutral).max(axis=(2, 3)))

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """The channel mask, packed like a pixel, when it matters."""
        return {"mask": pack_words(self.codes_mask(inputs[0].shape[2]))} if self.masked(inputs[0]) else {}

    def masked(self, kind: TensorType) -> bool:
        """Whether the largest code wins in any channel."""
        return kind.storage == "bits" and bool(self.codes_mask(kind.shape[2]).any())

    def codes_mask(self, channels: int) -> Array:
        """Channels whose largest code wins, uint8 [C]."""
        return np.zeros(channels, np.uint8) if self.largest_code is None else self.largest_code.astype(np.uint8)

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Geometry."""
        return {"window": window_initializer(self.window, inputs[0].shape)}


MaxPool.CASES = (
    (MaxPool(Window((2, 2), (2, 2))), (TensorType((5, 4, 3)),)),
    (MaxPool(Window((3, 3), (2, 1), pads=(1, 1, 1, 0))), (TensorType((6, 5, 4)),)),
    (MaxPool(Window((2, 2), (2, 2)), np.zeros(40, bool)), (TensorType((4, 6, 40), "bits", 2),)),
    (MaxPool(Window((2, 3), pads=(1, 1, 0, 1)), np.arange(33) % 3 == 0), (TensorType((4, 5, 33), "bits"),)),
)
