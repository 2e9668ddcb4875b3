"""The bit planes of codes as channels of one plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class SpreadPlanes(Op):
    """`out[h, w, k * C + c] = 1 where code[h, w, c] has a bit of masks[k]`.

    Attributes:
        masks: planes of the input whose OR a copy of the channels holds, as a bit mask each.
    """

    masks: tuple[int, ...]

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Packed codes in, one plane with as many copies of the channels as there are masks out."""
        kind = inputs[0]
        if kind.storage != "bits" or kind.layout != "pixels" or not all(0 < m < 1 << kind.planes for m in self.masks):
            raise ValueError(f"{kind} does not have the planes {self.masks}")
        height, width, channels = kind.shape
        return TensorType((height, width, len(self.masks) * channels), "bits")

    def reference(self, *inputs: Array) -> Array:
        """Copy by copy."""
        return np.concatenate([(inputs[0] & mask != 0).astype(np.uint8) for mask in self.masks], axis=2)

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """A byte per mask."""
        return {"masks": np.array(self.masks, np.uint8)}

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Number of pixels."""
        return {"pixels": inputs[0].shape[0] * inputs[0].shape[1]}


SpreadPlanes.CASES = (
    (SpreadPlanes((1, 2, 2)), (TensorType((2, 3, 40), "bits", 2),)),
    (SpreadPlanes((3, 2)), (TensorType((3, 2, 64), "bits", 2),)),
    (SpreadPlanes((1, 2, 2)), (TensorType((4, 4, 3), "bits", 2),)),
    (SpreadPlanes((1, 1)), (TensorType((1, 1, 33), "bits"),)),
)
