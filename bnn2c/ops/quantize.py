"""Binarisation and multi-bit quantisation: a piecewise-constant function to level codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType
from bnn2c.packing import pack_words

MAX_BREAK = (1 << 30) - 1


@dataclass(frozen=True, eq=False)
class Quantize(Op):
    """`code = codes[row class, column class, c, j]` with j = number of breaks that are <= x.

    Attributes:
        breaks: [rows, cols, C, m], ascending, padded with +inf, in units of the stored input.
        codes: uint8 [rows, cols, C, m + 1]; code 0 is the largest real value.
        row_class: class of each row, [H]; `col_class`: of each column, [W].
        planes: bits per code.
        bounded: stored integers are below 2^30, as accumulators are; an int32 graph input is not.
    """

    breaks: Array
    codes: Array
    row_class: Array
    col_class: Array
    planes: int = 1
    bounded: bool = True

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

    def is_threshold(self, inputs: Sequence[TensorType]) -> bool:
        """One comparison per element: `bit = (x >= t) ^ invert`."""
        plain = self.breaks.shape[-1] == 1 and self.planes == 1 and inputs[0].storage != "bits"
        return plain and (self.bounded or inputs[0].storage != "i32")

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Breaks as float32 or int32; the code table or the inverted channels; class maps of several classes."""
        integer = inputs[0].storage != "f32"
        never = MAX_BREAK if integer else np.inf
        moving = self.codes[..., :1] != self.codes[..., 1:2] if self.is_threshold(inputs) else True
        finite = np.where(np.isfinite(self.breaks) & moving, self.breaks, never)
        shared = slice(0, 1) if self.shared else slice(None)
        found: dict[str, Array] = {"breaks": finite[:, :, shared].astype(np.int32 if integer else np.float32)}
        if self.is_threshold(inputs):
            found["invert"] = pack_words(self.codes[..., 0])
        else:
            found["codes"] = np.ascontiguousarray(self.codes[:, :, shared])
        if self.breaks.shape[0] * self.breaks.shape[1] > 1:
            found |= {"rows": self.row_class.astype(np.uint16), "cols": self.col_class.astype(np.uint16)}
        return found

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """The single comparison has a kernel of its own."""
        return ("bnn2c_threshold.h" if self.is_threshold(inputs) else "bnn2c_quantize.h",)

    def kernel(self, inputs: Sequence[TensorType]) -> str:
        """Which of the two."""
        return "threshold" if self.is_threshold(inputs) else "quantize"

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Number of breaks and of column classes; whether all channels share them."""
        return {"steps": self.breaks.shape[-1], "col_classes": self.breaks.shape[1], "shared": int(self.shared)}


_rng = np.random.default_rng(0)
_one = np.zeros(1, np.int64)


def _codes(channels: int, *codes: int) -> Array:
    return np.tile(np.array(codes, np.uint8), (1, 1, channels, 1))


Quantize.CASES = (
    (
        Quantize(np.zeros((1, 1, 40, 1)), _codes(40, 1, 0), np.zeros(2, int), np.zeros(3, int)),
        (TensorType((2, 3, 40)),),
    ),
    (
        Quantize(np.sort(_rng.normal(0, 30, (1, 1, 5, 3)).round()), _codes(5, 3, 2, 1, 0), _one, _one, 2),
        (TensorType((1, 1, 5), "i32"),),
    ),
    (
        Quantize(
            np.sort(_rng.normal(0, 1, (2, 3, 7, 2))),
            _rng.integers(0, 2, (2, 3, 7, 3)).astype(np.uint8),
            np.array([0, 1, 1, 0]),
            np.array([0, 1, 2]),
        ),
        (TensorType((4, 3, 7)),),
    ),
    (Quantize(np.full((1, 1, 9, 1), 128.0), _codes(9, 1, 0), _one, _one), (TensorType((1, 1, 9), "u8"),)),
    (
        Quantize(
            np.sort(_rng.normal(0, 1, (1, 1, 16, 16))),
            np.minimum(np.arange(17), 15)[::-1].astype(np.uint8).reshape(1, 1, 1, 17).repeat(16, axis=2),
            np.zeros(3, int),
            np.zeros(4, int),
            4,
        ),
        (TensorType((3, 4, 16)),),
    ),
)
