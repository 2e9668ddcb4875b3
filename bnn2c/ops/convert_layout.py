"""Bits from one packing to the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class ConvertLayout(Op):
    """The same one-bit codes packed as `layout`: `pixels` or `planes` (a bit-matrix transpose)."""

    layout: str

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Only the packing changes."""
        if inputs[0].storage != "bits" or inputs[0].planes != 1 or inputs[0].layout == self.layout:
            raise ValueError(f"{inputs[0]} cannot be converted to {self.layout}")
        return replace(inputs[0], layout=self.layout)

    def reference(self, *inputs: Array) -> Array:
        """Codes are codes."""
        return inputs[0]

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """Both directions are in one header."""
        return ("bnn2c_bit_layouts.h",)


ConvertLayout.CASES = (
    (ConvertLayout("planes"), (TensorType((3, 5, 7), "bits"),)),
    (ConvertLayout("pixels"), (TensorType((9, 8, 40), "bits", layout="planes"),)),
)
