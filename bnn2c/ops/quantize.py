"""Binarisation and multi-bit quantisation: a piecewise-constant function to level codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class Quantize(Op):
    """`code = codes[row class, column class, c, j]` with j = number of breaks that are <= x.

    Attributes:
        breaks: [rows, cols, C, m], ascending, padded with +inf, in units of the stored input.
        codes: uint8 [rows, cols, C, m + 1]; code 0 is the largest real value.
        row_class: class of each row, [H]; `col_class`: of each column, [W].
        planes: bits per code.
    """

    breaks: Array
    codes: Array
    row_class: Array
    col_class: Array
    planes: int = 1

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Packed codes of the input's shape."""
        return TensorType(inputs[0].shape, "bits", self.planes)

    def reference(self, *inputs: Array) -> Array:
        """Count breaks, look the code up."""
        breaks = self.breaks[self.row_class][:, self.col_class]
        codes = self.codes[self.row_class][:, self.col_class]
        place = (inputs[0][..., None].astype(np.float64) >= breaks).sum(axis=-1, keepdims=True)
        return np.take_along_axis(codes, place, axis=-1)[..., 0]

    @property
    def shared(self) -> bool:
        """All channels use the same breaks and codes."""
        same = (self.breaks == self.breaks[:, :, :1]).all() and (self.codes == self.codes[:, :, :1]).all()
        return bool(same)

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Breaks as float32 or int32, the code table, and the class maps where there are several classes."""
        integer = inputs[0].storage != "f32"
        finite = np.where(np.isfinite(self.breaks), self.breaks, np.iinfo(np.int32).max if integer else np.inf)
        channels = slice(0, 1) if self.shared else slice(None)
        found = {"breaks": finite[:, :, channels].astype(np.int32 if integer else np.float32)}
        found["codes"] = np.ascontiguousarray(self.codes[:, :, channels])
        if self.breaks.shape[0] * self.breaks.shape[1] > 1:
            found |= {"rows": self.row_class.astype(np.uint16), "cols": self.col_class.astype(np.uint16)}
        return found

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Number of breaks and of column classes; whether all channels share them."""
        return {"steps": self.breaks.shape[-1], "col_classes": self.breaks.shape[1], "shared": int(self.shared)}
