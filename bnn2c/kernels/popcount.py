"""The general kernel: any number of planes, groups, a threshold per position; runtime_c/bnn2c_binary_conv2d.h."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bnn2c.ir.types import TensorType
from bnn2c.kernels.c_struct import c_struct, window_members
from bnn2c.kernels.kernel import Kernel
from bnn2c.kernels.shape import Array
from bnn2c.packing import pack_words

if TYPE_CHECKING:
    from bnn2c.ops.binary_conv2d import BinaryConv2d


class Popcount(Kernel):
    """The general kernel."""

    name = "popcount"
    header = "bnn2c_binary_conv2d.h"
    struct = "bnn2c_binary_conv2d_t"

    def __init__(self, op: BinaryConv2d, kind: TensorType) -> None:
        self.op, self.kind = op, kind
        self.width = op.weights.shape[4]
        offsets = [(g * self.width) % 32 for g in range(op.groups)]
        self.words = max(-(-(o + self.width) // 32) for o in offsets)

    @classmethod
    def refuses(cls, op: BinaryConv2d, kind: TensorType, isa: Sequence[str] = ()) -> str | None:
        """Nothing: this kernel runs every layer."""
        return None

    @property
    def pixel_function(self) -> str:
        """Named after the header."""
        return self.header.removesuffix(".h")

    def constants(self) -> dict[str, Array]:
        """Weights in place within their words, group masks, thresholds, class maps."""
        op = self.op
        found = {
            "coefficients": np.asarray(op.coefficients, np.uint8),
            "weights": self._placed(op.weights, op.weights.shape[1] // op.groups),
            "mask": self._placed(np.ones((1, op.groups, 1, 1, self.width), np.uint8), 1).reshape(op.groups, -1),
        }
        if op.thresholds is not None and op.row_class is not None and op.col_class is not None:
            found["thresholds"] = op.thresholds.astype(np.int32)
            found |= {"rows": op.row_class.astype(np.uint16), "cols": op.col_class.astype(np.uint16)}
        return found

    def _placed(self, bits: Array, per_group: int) -> Array:
        """Bits [planes, O, KH, KW, width] shifted to their group's place: words [planes, O, KH, KW, group words]."""
        placed = np.zeros((*bits.shape[:4], self.words * 32), np.uint8)
        for o in range(bits.shape[1]):
            start = (o // per_group * self.width) % 32
            placed[:, o, :, :, start : start + self.width] = bits[:, o]
        return pack_words(placed)

    def initializer(self, names: Mapping[str, str]) -> str:
        """Window, groups, planes and levels."""
        op = self.op
        levels = op.thresholds.shape[3] if op.thresholds is not None else 0
        classes = op.thresholds.shape[1] if op.thresholds is not None else 1
        arrays = {key: names.get(key, "NULL") for key in ("coefficients", "weights", "mask", "thresholds")}
        return c_struct(
            **window_members(op.window, self.kind.shape), in_words=self.kind.words_per_pixel, out_c=op.weights.shape[1],
            groups=op.groups, group_channels=self.width, group_words=self.words, levels=levels, col_classes=classes,
            input_planes=self.kind.planes, weight_planes=len(op.coefficients), output_planes=int(levels).bit_length(),
            **arrays, row_class=names.get("rows", "NULL"), col_class=names.get("cols", "NULL"),
        )  # fmt: skip

    def call(self, params: str, source: str, scratch: str, out: str, result: str) -> str:
        """All pixels."""
        return f"bnn2c_binary_conv2d_{result}({params}, {source}, {scratch}, {out});"

    def scratch_bytes(self) -> int:
        """The patch."""
        return 4 * self.op.window.kernel[0] * self.op.window.kernel[1] * self.kind.words_per_pixel * self.kind.planes
