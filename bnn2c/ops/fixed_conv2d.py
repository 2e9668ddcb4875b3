"""Convolution in fixed point: integer weights, an int32 accumulator, one rounding per output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.ir.op import Array, Cost, Op
from bnn2c.ir.types import TensorType
from bnn2c.ir.window import Window
from bnn2c.kernels.c_struct import window_initializer
from bnn2c.packing import pack_words

INPUTS = ("u8", "i8", "i16")


@dataclass(frozen=True, eq=False)
class FixedConv2d(Op):
    """`out = saturate(round((bias[o] + sum of weights * q) * lift * multiplier[o] / 2^shift[o]))`, low <= out <= high.

    Ties round up. The accumulator fits in int32 for every input: whoever makes the operation proves it.

    Attributes:
        weights: int8 or int16 [O, KH, KW, I / groups].
        bias: int32 [O].
        lift: a power of two, 1 unless accumulators are short.
        multiplier: int32 [O], below 2^31.
        shift: int8 [O], 33 … 62.
        window: kernel, stride, dilation, pads.
        groups: channel groups.
        pad: int16 [I], the integer outside the input; None for zeros.
        storage: i8, u8 or i16, with saturation to low … high.
        signs: every weight is +1 or -1, stored as one bit.
    """

    weights: Array
    bias: Array
    lift: int
    multiplier: Array
    shift: Array
    window: Window
    groups: int
    pad: Array | None
    storage: str
    low: int
    high: int
    signs: bool = False

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Small integers in and out."""
        height, width, channels = inputs[0].shape
        if inputs[0].storage not in INPUTS or channels != self.groups * self.weights.shape[3]:
            raise ValueError(f"{inputs[0]} into a fixed-point convolution")
        return TensorType((*self.window.output(height, width), self.weights.shape[0]), self.storage)

    def reference(self, *inputs: Array) -> Array:
        """Exact integer sums, then one rounding."""
        sums = self.accumulate(inputs[0]) + self.bias.astype(np.int64)
        shift = self.shift.astype(np.int64)
        rounded = (sums * self.lift * self.multiplier.astype(np.int64) + (1 << (shift - 1))) >> shift
        return np.asarray(np.clip(rounded, self.low, self.high), NUMPY_TYPES[self.storage])

    def accumulate(self, given: Array) -> Array:
        """Integer dot products, int64 [OH, OW, O] (exact in float64: they fit in 32 bits)."""
        pad: float | Array = 0.0 if self.pad is None else self.pad.astype(np.float64)
        patches = self.window.patches(given.astype(np.float64), pad)
        out_h, out_w, kernel_h, kernel_w, _ = patches.shape
        columns = patches.reshape(out_h * out_w, kernel_h * kernel_w, self.groups, -1).transpose(2, 0, 1, 3)
        kernels = self.weights.astype(np.float64).reshape(self.groups, -1, self.weights[0].size)
        sums = columns.reshape(self.groups, out_h * out_w, -1) @ kernels.transpose(0, 2, 1)
        return np.rint(sums.transpose(1, 0, 2).reshape(out_h, out_w, -1)).astype(np.int64)

    @property
    def depthwise(self) -> bool:
        """One input channel for each output channel."""
        return self.groups > 1 and self.weights.shape[0] == self.groups and self.weights.shape[3] == 1

    @property
    def row(self) -> int:
        """Weights of one output channel with the padding that the kernel wants: a multiple of 8."""
        return -(-int(self.weights[0].size) // 8) * 8

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Weights in rows (depthwise: channels last; signs: one bit each), and the constants per channel."""
        found: dict[str, Array] = {"weights": self._stored_weights()}
        found |= {"bias": self.bias.astype(np.int32), "multiplier": self.multiplier.astype(np.int32)}
        found["shift"] = (self.shift - 33).astype(np.uint8)
        if self.pad is not None and any(self.window.pads):
            found["pad"] = self.pad.astype(np.int16)
        return found

    def _stored_weights(self) -> Array:
        flat = self.weights.reshape(self.weights.shape[0], -1)
        if self.signs:
            return pack_words((flat < 0).astype(np.uint8))
        if self.depthwise:
            return np.ascontiguousarray(self.weights[..., 0].transpose(1, 2, 0))
        return pairs_of_rows(np.pad(flat, ((0, 0), (0, self.row - flat.shape[1]))), self.groups)

    @property
    def weight_kind(self) -> str:
        """Suffix of the kernel: signs, i8 or i16."""
        return "signs" if self.signs else "i8" if self.weights.dtype == np.int8 else "i16"

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Geometry and kernel variant."""
        kernel = f"{self.weight_kind}_{inputs[0].storage}_{self.storage}"
        words = self._stored_weights().shape[1] if self.signs else self.row
        return {
            "window": window_initializer(self.window, inputs[0].shape),
            "kernel": f"depthwise_{kernel}" if self.depthwise and not self.signs else kernel,
            "row": words,
        }

    def kernel(self, inputs: Sequence[TensorType]) -> str:
        """Weight, input and output types."""
        return f"fixed_conv2d_{self.params(inputs)['kernel']}"

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """Signs and depthwise kernels have headers of their own."""
        if self.signs:
            return ("bnn2c_fixed_sign_conv2d.h",)
        return ("bnn2c_fixed_depthwise.h" if self.depthwise else "bnn2c_fixed_conv2d.h",)

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """Two pixels of int32 sums and their int16 patches; signs and depthwise: one pixel of sums."""
        outputs = int(self.weights.shape[0])
        if self.depthwise or self.signs:
            return 4 * outputs
        return 2 * 4 * (outputs + 1) + 2 * 2 * self.row

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """One multiply-accumulate per weight and output pixel; additions where weights are signs."""
        out = self.infer(inputs)
        macs = self.weights.size * out.shape[0] * out.shape[1]
        weight_bytes = sum(a.nbytes for a in self.constants(inputs).values())
        return Cost(macs if self.signs else 0, 0 if self.signs else macs, weight_bytes)


def pairs_of_rows(rows: Array, groups: int) -> Array:
    """Rows [O, n] as the kernel reads them: [groups * pairs, n / 4, 2, 4], an odd last row of a group beside zeros."""
    outputs, length = rows.shape
    grouped = rows.reshape(groups, outputs // groups, length)
    even = np.pad(grouped, ((0, 0), (0, grouped.shape[1] % 2), (0, 0)))
    return np.ascontiguousarray(even.reshape(-1, 2, length // 4, 4).transpose(0, 2, 1, 3))
