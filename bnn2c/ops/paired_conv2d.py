"""A first layer on 8-bit integers with two-valued weights and one threshold per output, several pixels at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.ir.op import Array
from bnn2c.ir.types import TensorType
from bnn2c.ir.window import Window
from bnn2c.kernels.c_struct import c_struct
from bnn2c.kernels.shape import ConvShape
from bnn2c.ops.integer_conv2d import IntegerConv2d
from bnn2c.ops.quantize import MAX_BREAK, Quantize
from bnn2c.ops.quantized_conv2d import QuantizedConv2d

GROUP = 4  # inputs whose 16 signed sums are tabulated
MAX_WEIGHTS = 64  # of an output: twice the largest sum of them fits in 16 bits
_INSTRUCTIONS = (3.1, 8, 40, 16)  # per vector: output and group, output, group, input and word


@dataclass(frozen=True, eq=False)
class PairedConv2d(QuantizedConv2d):
    """`step(conv(x))` by sums of two pixels in a word (runtime_c/bnn2c_paired_conv2d.h).

    Attributes:
        lane_words: words per vector, set by `passes/choose_kernels.py`.
    """

    lane_words: int = 1

    @staticmethod
    def fits(conv: IntegerConv2d, step: Quantize) -> bool:
        """Signs for weights, sums below 2^14, one threshold per border class and output, always the same way round.

        A single pixel (a dense layer) has nothing to share a word with.
        """
        several = len(step.row_class) * len(step.col_class) > 1
        small = conv.weights[0].size <= MAX_WEIGHTS and conv.groups == 1
        single = step.is_threshold([TensorType((1, 1, 1), "i32")])
        same = bool((step.codes[..., 0] == step.codes[:1, :1, :, 0]).all())
        bytes_hold = max(*step.breaks.shape[:2], *conv.weights.shape[1:]) <= 255
        classes_occur = step.breaks.shape[1] == step.col_class.max() + 1
        return several and conv.two_valued and small and single and same and bytes_hold and classes_occur

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Codes uint8 [O, groups], bounds uint32 [classes, O], classes of rows and columns.

        Outputs that compare the other way round (bit = sum < t) have their weights negated: -sum >= 1 - t.
        """
        assert isinstance(self.conv, IntegerConv2d)
        given = self.step.constants([self.conv.infer(inputs)])
        channels = len(self.conv.weights)
        inverted = self.step.codes[0, 0, :, 0].astype(bool)
        signs = (self.conv.weights.reshape(channels, -1) < 0) ^ inverted[:, None]
        shape = (*self.step.breaks.shape[:2], channels)
        limits = np.broadcast_to(given["breaks"][..., 0], shape).reshape(-1, channels).astype(np.int64)
        reach = 256 * signs.shape[1]
        bounds = 0x8000 - np.clip(np.where(inverted, 1 - limits, limits), -reach, reach)
        return {
            "codes": _codes(signs),
            "bounds": (bounds * 0x10001).astype(np.uint32),
            "row_class": self.step.row_class.astype(np.uint8),
            "col_class": self.step.col_class.astype(np.uint8),
        }

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Geometry, border classes of the thresholds, groups of inputs."""
        assert isinstance(self.conv, IntegerConv2d)
        window, rows, cols = self.conv.window, self.step.row_class.tolist(), self.step.col_class.tolist()
        shape = ConvShape(
            *inputs[0].shape, *self.infer(inputs).shape, *window.kernel, *window.stride, *window.pads[:2],
            *window.dilation, 1, tuple(rows), tuple(cols),
        )  # fmt: skip
        geometry = shape.c_initializer("@row_class@", "@col_class@")
        return {"members": c_struct(shape=geometry, groups=self.groups, codes="@codes@", bounds="@bounds@")}

    @property
    def groups(self) -> int:
        """Groups of four inputs."""
        assert isinstance(self.conv, IntegerConv2d)
        return int(-(-self.conv.weights[0].size // GROUP))

    def predicted(self, inputs: Sequence[TensorType], lane_words: int) -> int:
        """Instructions with vectors of `lane_words` words."""
        out = self.infer(inputs)
        vectors = -(-out.shape[0] * out.shape[1] // (2 * lane_words))
        per_sum, per_output, per_group, per_word = _INSTRUCTIONS
        outputs = out.shape[2] * (per_sum * self.groups + per_output)
        return round(vectors * (outputs + self.groups * (per_group + GROUP * per_word * lane_words)))

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """Tables of 16 sums and the patch, a vector for each."""
        return 4 * self.lane_words * 20 * self.groups

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """Its own."""
        return ("bnn2c_paired_conv2d.h",)

    def kernel(self, inputs: Sequence[TensorType]) -> str:
        """Its own."""
        return self.kind

    def stack_bytes(self, inputs: Sequence[TensorType]) -> int:
        """Masks of classes, two for each word of a vector."""
        return 512 + 16 * self.lane_words * (self.lane_words + 8)


def _codes(signs: Array) -> Array:
    """Signs [O, weights] to uint8 [O, groups]: 16 * group + the signs of four weights."""
    padded = np.zeros((len(signs), -(-signs.shape[1] // GROUP) * GROUP), np.uint8)
    padded[:, : signs.shape[1]] = signs
    picked = padded.reshape(len(signs), -1, GROUP) @ (1 << np.arange(GROUP, dtype=np.uint8))
    return np.asarray(picked + 16 * np.arange(picked.shape[1]), np.uint8)


_rng = np.random.default_rng(0)


def _case(
    shape: tuple[int, int, int], out: int, window: Window, storage: str, classes: tuple[int, int] = (1, 1)
) -> tuple[Any, ...]:
    """Random weights and thresholds, some of them never or always reached, some compared the other way round."""
    height, width = window.output(*shape[:2])
    conv = IntegerConv2d(_rng.choice([-1, 1], (out, *window.kernel, shape[2])), window)
    breaks = _rng.integers(-900, 900, (*classes, out, 1)).astype(np.float64)
    breaks[..., 0, :], breaks[..., 1, :] = -MAX_BREAK, np.inf
    codes = np.broadcast_to(_rng.integers(0, 2, (out, 1)), (*classes, out, 1))
    step = Quantize(
        breaks,
        np.concatenate([codes, 1 - codes], -1).astype(np.uint8),
        np.arange(height) % classes[0],
        np.arange(width) * classes[1] // width,
    )
    return PairedConv2d(conv, step), (TensorType(shape, storage),)


PairedConv2d.CASES = (
    _case((8, 7, 3), 40, Window((3, 3), pads=(1, 1, 1, 1)), "u8"),
    _case((5, 9, 2), 17, Window((3, 2), (2, 1), (1, 2), (0, 1, 2, 0)), "i8", (2, 3)),
    _case((1, 1, 64), 3, Window((1, 1)), "u8"),
)
