"""Convolution of 8-bit inputs with small integer weights: additions and subtractions only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Cost, Op
from bnn2c.ir.types import TensorType
from bnn2c.ir.window import Window
from bnn2c.kernels.c_struct import c_struct, window_members
from bnn2c.packing import pack_words


@dataclass(frozen=True, eq=False)
class IntegerConv2d(Op):
    """`acc[y, x, o] = sum over taps inside the input of weights[o] * q`, exact in int32.

    Attributes:
        weights: int8 [O, KH, KW, I / groups].
        window: kernel, stride, dilation, pads (outside the input q = 0).
        groups: channel groups.
    """

    weights: Array
    window: Window
    groups: int = 1

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """8-bit integers in, int32 out."""
        if inputs[0].storage not in ("u8", "i8"):
            raise ValueError(f"{inputs[0]} into an integer convolution")
        return TensorType((*self.window.output(*inputs[0].shape[:2]), self.weights.shape[0]), "i32")

    def reference(self, *inputs: Array) -> Array:
        """Exact integer sums."""
        patches = self.window.patches(inputs[0].astype(np.float64), 0.0)
        out_h, out_w, kernel_h, kernel_w, channels = patches.shape
        columns = patches.reshape(out_h * out_w, kernel_h * kernel_w, self.groups, -1).transpose(2, 0, 1, 3)
        kernels = self.weights.astype(np.float64).reshape(self.groups, -1, self.weights[0].size)
        sums = columns.reshape(self.groups, out_h * out_w, -1) @ kernels.transpose(0, 2, 1)
        return np.asarray(sums.transpose(1, 0, 2).reshape(out_h, out_w, -1), np.int32)

    @property
    def two_valued(self) -> bool:
        """Every weight is +1 or -1."""
        return bool((np.abs(self.weights) == 1).all())

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """Counted as binary work: no multiplication is executed."""
        out = self.infer(inputs)
        macs = out.size * self.weights[0].size
        return Cost(binary_macs=macs, weight_bytes=sum(a.nbytes for a in self.constants(inputs).values()))

    @property
    def weight_kind(self) -> str:
        """How weights are stored: `bits` for +1 and -1, `ternary` (two bits) where 0 occurs too, else `i8`."""
        return "bits" if self.two_valued else "ternary" if np.abs(self.weights).max() <= 1 else "i8"

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """One or two runs of words per output, or int8."""
        flat = self.weights.reshape(self.weights.shape[0], -1)
        if self.weight_kind == "i8":
            return {"weights": flat.astype(np.int8)}
        signs = [flat < 0] if self.two_valued else [flat < 1, flat < 0]
        return {"weights": pack_words(np.stack(signs, axis=1).astype(np.uint8).reshape(-1, flat.shape[1]))}

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Which weight form the kernel reads, and its parameters."""
        outputs, channels = self.weights.shape[0], inputs[0].shape[2]
        members = c_struct(
            **window_members(self.window, inputs[0].shape), in_c=channels, out_c=outputs, groups=self.groups,
            run=self.weights[0].size, weights="@weights@",
        )  # fmt: skip
        return {"weights": self.weight_kind, "members": members}

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """One window as int16, each group's part rounded up to 16 elements."""
        return int(2 * self.groups * (-(-self.weights[0].size // 16) * 16))

    def stack_bytes(self, inputs: Sequence[TensorType]) -> int:
        """Eight tables of 16 sums."""
        return 1536


_rng = np.random.default_rng(0)
IntegerConv2d.CASES = (
    (IntegerConv2d(_rng.choice([-1, 1], (5, 1, 1, 40)), Window((1, 1))), (TensorType((1, 1, 40), "u8"),)),
    (
        IntegerConv2d(_rng.choice([-1, 1], (6, 3, 3, 3)), Window((3, 3), (2, 2), pads=(1, 0, 0, 1))),
        (TensorType((7, 6, 3), "u8"),),
    ),
    (
        IntegerConv2d(_rng.integers(-3, 4, (4, 2, 2, 2)), Window((2, 2), dilation=(1, 2)), 2),
        (TensorType((5, 6, 4), "i8"),),
    ),
    (
        IntegerConv2d(_rng.integers(-1, 2, (6, 3, 3, 2)), Window((3, 3), pads=(1, 0, 1, 1)), 2),
        (TensorType((4, 5, 4), "i8"),),
    ),
    (IntegerConv2d(_rng.integers(-1, 2, (3, 1, 1, 70)), Window((1, 1))), (TensorType((1, 2, 70), "u8"),)),
)
