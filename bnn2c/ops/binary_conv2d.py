"""Convolution of packed level codes with packed weights: XNOR and popcount."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Cost, Op
from bnn2c.ir.types import TensorType
from bnn2c.ir.window import Window
from bnn2c.kernels.binary import PLANE_FAMILIES, choose
from bnn2c.ops.conv2d import linear


@dataclass(frozen=True, eq=False)
class BinaryConv2d(Op):
    """Weighted mismatch counts between activation planes and weight planes, optionally quantised at once.

    `acc[y, x, o] = sum_ij coefficients[i][j] * popcount(weight plane i of o XOR activation plane j under the window)`;
    taps outside the input read the code 0. With thresholds, `code = #{l : acc >= thresholds[class, o, l]}`.

    Attributes:
        weights: uint8 bits [planes, O, KH, KW, I / groups], 0 stands for +1 and 1 for -1.
        coefficients: positive integers, one row per weight plane, one column per activation plane.
        window: kernel, stride, dilation, pads.
        groups: channel groups.
        thresholds: int32 [row classes, column classes, O, levels - 1] or None for raw accumulators.
        row_class: class of each output row; `col_class`: of each output column.
        family: kernel family, chosen by `passes/choose_kernels.py`; empty for the default.
        lane_words: words per vector of lanes, as the family packs its constants for the target.
        diagonal: whether vertical counters read weights in diagonals, set by `passes/lay_diagonals.py`.
    """

    weights: Array
    coefficients: tuple[tuple[int, ...], ...]
    window: Window
    groups: int = 1
    thresholds: Array | None = None
    row_class: Array | None = None
    col_class: Array | None = None
    family: str = ""
    lane_words: int = 1
    diagonal: bool = False

    @property
    def taps(self) -> int:
        """Products per output: KH * KW * I / groups."""
        return int(np.prod(self.weights.shape[2:]))

    @property
    def largest(self) -> int:
        """The largest accumulator value."""
        return self.taps * sum(map(sum, self.coefficients))

    @property
    def classes_along(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Classes of rows and of columns that do not follow from the padding; empty where they do."""
        return (), ()

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Packed codes in; accumulators or packed codes out."""
        kind = inputs[0]
        if kind.storage != "bits" or kind.planes != len(self.coefficients[0]):
            raise ValueError(f"{kind} into a binary convolution of {len(self.coefficients[0])} planes")
        shape = (*self.window.output(*kind.shape[:2]), self.weights.shape[1])
        if self.thresholds is not None:
            layout = "planes" if self.family in PLANE_FAMILIES else "pixels"
            return TensorType(shape, "bits", int(self.thresholds.shape[3]).bit_length(), layout)
        return TensorType(shape, "i16" if self.largest <= 32767 else "i32")

    def reference(self, *inputs: Array) -> Array:
        """`popcount(a ^ w) = (n - dot) / 2` with +1/-1 factors."""
        total = np.zeros(1)
        for j in range(len(self.coefficients[0])):
            plane = 1.0 - 2.0 * ((inputs[0] >> j) & 1)
            patches = self.window.patches(plane, 1.0)
            for i, row in enumerate(self.coefficients):
                dot = linear(patches, 1.0 - 2.0 * self.weights[i], self.groups)
                total = total + row[j] * (self.taps - dot) / 2
        accumulators = total.astype(np.int32)
        return accumulators if self.thresholds is None else self._quantised(accumulators)

    def _quantised(self, accumulators: Array) -> Array:
        assert self.thresholds is not None and self.row_class is not None and self.col_class is not None
        levels = self.thresholds[self.row_class][:, self.col_class]
        return np.asarray((accumulators[..., None] >= levels).sum(axis=-1), np.uint8)

    def of_channels(self, which: Array) -> BinaryConv2d:
        """The layer for these output channels; it has no groups and no thresholds."""
        return replace(self, weights=self.weights[:, which])

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """One binary multiply-accumulate per tap, output and pair of planes."""
        out = self.infer(inputs)
        pairs = len(self.coefficients) * len(self.coefficients[0])
        weight_bytes = sum(a.nbytes for a in self.constants(inputs).values())
        return Cost(binary_macs=out.size * self.taps * pairs, weight_bytes=weight_bytes)

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Packed as the chosen kernel wants them."""
        return choose(self, inputs[0]).constants()

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """The chosen kernel: C type, initialiser and call."""
        return {"kernel": choose(self, inputs[0])}

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The patch of one pixel, and what else the kernel needs."""
        return choose(self, inputs[0]).scratch_bytes()

    def stack_bytes(self, inputs: Sequence[TensorType]) -> int:
        """Vertical counters are as wide as the vectors of lanes; for several planes there are two sets of them."""
        wide = self.family in PLANE_FAMILIES or self.lane_words > 1
        several = 512 if len(self.weights) * len(self.coefficients[0]) > 1 else 0
        return 1280 + 1024 * self.lane_words if wide else super().stack_bytes(inputs) + several

    def scratch_on_input(self, inputs: Sequence[TensorType]) -> bool:
        """Whether the patch may take the input's place."""
        return choose(self, inputs[0]).consumes_input()

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """Header of the chosen kernel."""
        return (choose(self, inputs[0]).header,)

    def kernel(self, inputs: Sequence[TensorType]) -> str:
        """Name of the chosen kernel."""
        return choose(self, inputs[0]).name


_rng = np.random.default_rng(0)


def random_layer(
    planes: tuple[int, int],
    shape: tuple[int, int, int],
    out: int,
    window: Window,
    **more: Any,  # noqa: ANN401 - attributes of several types
) -> tuple[Any, ...]:
    """Random weights, and the type of the input; with `levels`, random ascending thresholds per border class."""
    groups, levels = more.pop("groups", 1), more.pop("levels", 0)
    weights = _rng.integers(0, 2, (planes[0], out, *window.kernel, shape[2] // groups)).astype(np.uint8)
    coefficients = tuple(tuple((1 << i) * (1 << j) for j in range(planes[1])) for i in range(planes[0]))
    op = BinaryConv2d(weights, coefficients, window, groups, **more)
    if levels:
        rows, cols = (np.unique(v, axis=0, return_inverse=True)[1] for v in window.valid_taps(*shape[:2]))
        size = (int(rows.max()) + 1, int(cols.max()) + 1, out, levels)
        limits = np.sort(_rng.integers(0, op.largest + 2, size), axis=-1).astype(np.int32)
        op = replace(op, thresholds=limits, row_class=rows, col_class=cols)
    return op, (TensorType(shape, "bits", planes[1], "planes" if op.family in PLANE_FAMILIES else "pixels"),)


BinaryConv2d.CASES = (
    random_layer((1, 1), (1, 1, 100), 33, Window((1, 1))),
    random_layer((1, 1), (1, 1, 64), 17, Window((1, 1)), levels=1),
    random_layer((1, 1), (6, 5, 17), 9, Window((3, 3), pads=(1, 1, 1, 1)), levels=1),
    random_layer((1, 1), (7, 6, 32), 40, Window((3, 2), (2, 1), (1, 2), (0, 1, 2, 0)), levels=1),
    random_layer((2, 2), (4, 4, 20), 6, Window((3, 3), pads=(1, 0, 0, 1)), levels=3),
    random_layer((1, 2), (1, 5, 33), 8, Window((1, 3))),
    random_layer((1, 1), (5, 5, 24), 12, Window((3, 3), pads=(1, 1, 1, 1)), groups=3),
    random_layer((1, 1), (5, 4, 16), 16, Window((3, 3), pads=(1, 1, 1, 1)), groups=16, levels=1),
    random_layer((1, 1), (5, 4, 40), 40, Window((3, 3), (2, 1), (1, 2), (1, 1, 1, 2)), groups=40),
    random_layer((1, 1), (4, 6, 70), 70, Window((5, 3), pads=(2, 1, 2, 1)), groups=70, levels=1),
    random_layer((1, 1), (6, 8, 36), 40, Window((3, 3), pads=(1, 1, 1, 1)), levels=1, family="class_sharing"),
    random_layer((1, 1), (9, 7, 5), 6, Window((2, 3), (2, 1), pads=(0, 1, 1, 1)), levels=1, family="class_sharing"),
    random_layer((1, 1), (5, 8, 36), 33, Window((3, 3), pads=(1, 1, 1, 1)), levels=1, family="few_pixels"),
    random_layer((1, 1), (9, 9, 5), 6, Window((2, 3), (2, 1), pads=(0, 1, 1, 1)), levels=1, family="few_pixels"),
    random_layer((1, 1), (9, 8, 40), 33, Window((1, 1)), levels=1, family="channel_steps"),
    random_layer((1, 1), (6, 8, 36), 20, Window((3, 3)), levels=1, family="channel_steps"),
    random_layer((1, 1), (9, 7, 5), 6, Window((2, 3), (2, 1)), levels=1, family="channel_steps"),
)
