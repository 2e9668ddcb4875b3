"""Copy with an index map: transposes, reshapes, slices, pads, channel shuffles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType
from bnn2c.kernels.rearrangement import Rearrangement, plan_rearrangement


@dataclass(frozen=True, eq=False)
class Rearrange(Op):
    """`out.flat[k] = input.flat[index.flat[k]]`, or `fill` where the index is -1.

    Attributes:
        index: int32 [H, W, C], positions in the C order of the input's physical shape.
        fill: value (float or code) of elements without a source.
        layout: packing of one-bit codes. Planes [H, W, C] are the very words of packed pixels [C, 1, H*W], so a
            transposition that reads one and makes the other moves nothing.
    """

    index: Array
    fill: float = 0.0
    layout: str = "pixels"

    @property
    def is_reshape(self) -> bool:
        """True when the elements keep their order, so that no copy is needed unless pixels are packed."""
        return bool(np.array_equal(self.index.ravel(), np.arange(self.index.size)))

    def transposes(self, shape: tuple[int, int, int]) -> bool:
        """True when an input of this shape is a matrix, pixels x channels, and the output's matrix its transpose."""
        height, width, channels = shape
        if self.index.shape[2] != height * width or self.index.size != height * width * channels:
            return False
        turned = np.arange(self.index.size).reshape(height * width, channels).T
        return bool(np.array_equal(self.index.ravel(), turned.ravel()))

    def keeps_words(self, kind: TensorType) -> bool:
        """True when pixels are read as planes or planes as pixels."""
        return "planes" in (kind.layout, self.layout)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Same storage as the input, shape of the index."""
        kind = inputs[0]
        if self.index.max(initial=-1) >= kind.size:
            raise ValueError("index outside the input")
        turned = kind.layout != self.layout and kind.planes == 1 and self.transposes(kind.shape)
        if self.keeps_words(kind) and not turned:
            raise ValueError(f"{kind} is not the transpose of {self.layout}")
        height, width, channels = self.index.shape
        return TensorType((height, width, channels), kind.storage, kind.planes, self.layout)

    def reference(self, *inputs: Array) -> Array:
        """Gather."""
        flat = inputs[0].ravel()
        found = flat[np.maximum(self.index, 0)]
        return np.where(self.index < 0, np.asarray(self.fill, flat.dtype), found)

    def plan(self, inputs: Sequence[TensorType]) -> Rearrangement:
        """Nested loops or a table."""
        if self.keeps_words(inputs[0]):
            words = np.arange(inputs[0].nbytes // 4, dtype=np.int32)
            return plan_rearrangement(words.reshape(1, 1, -1), 0.0, TensorType((1, 1, words.size), "i32"))
        return plan_rearrangement(self.index, self.fill, inputs[0])

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """The table and the fill pattern, where they are needed."""
        plan = self.plan(inputs)
        return {key: data for key, data in (("table", plan.table), ("fill", plan.fill)) if data is not None}

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """The plan, and the suffix of the table's kernel."""
        plan = self.plan(inputs)
        return {"plan": plan, "table": 0 if plan.table is None else 8 * plan.table.itemsize}


_cube = np.arange(2 * 3 * 40, dtype=np.int32).reshape(2, 3, 40)
_mixed = np.random.default_rng(0).permutation(240).astype(np.int32)
_turned = np.arange(240, dtype=np.int32).reshape(6, 40).T.copy()
Rearrange.CASES = (
    (Rearrange(np.ascontiguousarray(_cube.transpose(1, 0, 2))), (TensorType((2, 3, 40)),)),
    (Rearrange(np.pad(_cube, ((1, 0), (0, 2), (0, 0)), constant_values=-1), 1.0), (TensorType((2, 3, 40), "bits"),)),
    (Rearrange(np.ascontiguousarray(_cube.transpose(2, 1, 0))), (TensorType((2, 3, 40), "bits", 2),)),
    (Rearrange(_mixed.reshape(1, 1, 240)), (TensorType((2, 3, 40), "u8"),)),
    (Rearrange(np.ascontiguousarray(_cube.reshape(1, 1, 240))), (TensorType((2, 3, 40), "bits"),)),
    (Rearrange(_turned.reshape(5, 8, 6), layout="planes"), (TensorType((6, 1, 40), "bits"),)),
    (Rearrange(_turned.reshape(40, 1, 6)), (TensorType((2, 3, 40), "bits", layout="planes"),)),
)
