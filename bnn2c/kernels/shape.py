"""Geometry of a binary convolution, border classes, and the cost record shared by all kernel families."""

from __future__ import annotations

from dataclasses import dataclass, replace
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn2c.kernels.c_struct import c_struct

Array = npt.NDArray[Any]
MAX_CHANNELS = 65535  # that the C struct can hold


@dataclass(frozen=True)
class Cost:
    """Prediction for one layer: executed instructions, bytes of constants in flash, bytes of scratch in the arena."""

    instructions: int
    flash_bytes: int
    arena_bytes: int


@dataclass(frozen=True)
class Layer:
    """What a family makes of a layer: constant arrays, and C text that refers to them.

    `template` is the C initialiser of the parameter struct with $key for the array `key`; `scratch_words` counts words;
    `function` is the C function without its result's suffix.
    """

    arrays: dict[str, Array]
    template: str
    scratch_words: int
    function: str

    def initializer(self, names: dict[str, str]) -> str:
        """C initialiser of the parameter struct; `names` maps the keys of `arrays` to C identifiers."""
        return Template(self.template).substitute(names)

    def call(self, params: str, source: str, scratch: str, out: str, result: str) -> str:
        """C statement; `result` is "bits", "i16" or "i32", the rest are C expressions (params: a pointer)."""
        return f"{self.function}_{result}({params}, {source}, {scratch}, {out});"


@dataclass(frozen=True)
class ConvShape:
    """A binary convolution, in pixels and channels; a dense layer is a 1x1 convolution of a 1x1 image.

    `given_rows` and `given_cols` are classes that do not follow from the padding; the C takes them at run time.
    """

    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    kernel_h: int = 1
    kernel_w: int = 1
    stride_h: int = 1
    stride_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    dilation_h: int = 1
    dilation_w: int = 1
    groups: int = 1
    given_rows: tuple[int, ...] = ()
    given_cols: tuple[int, ...] = ()

    @classmethod
    def dense(cls, inputs: int, outputs: int) -> ConvShape:
        """The shape of a dense layer."""
        return cls(1, 1, inputs, 1, 1, outputs)

    @property
    def taps(self) -> int:
        """Weights of one output channel (the largest possible number of mismatches)."""
        return self.kernel_h * self.kernel_w * (self.in_c // self.groups)

    @property
    def macs(self) -> int:
        """Binary multiply-accumulates, padding included."""
        return self.taps * self.out_h * self.out_w * self.out_c

    @property
    def pointwise(self) -> bool:
        """Whether the patch of an output pixel is the input pixel at its place, and all are of one border class."""
        window = (self.kernel_h, self.kernel_w, self.stride_h, self.stride_w, self.pad_top, self.pad_left)
        alike = not (self.given_rows or self.given_cols) or (self.out_h, self.out_w) == (1, 1)
        return alike and window == (1, 1, 1, 1, 0, 0) and (self.in_h, self.in_w) == (self.out_h, self.out_w)

    @property
    def flat(self) -> ConvShape:
        """The shape as a dense layer, where the window covers all words of the input one after the other: same sums."""
        window = (self.kernel_h, self.kernel_w, self.pad_top, self.pad_left, self.dilation_h, self.dilation_w)
        covers = window == (self.in_h, self.in_w, 0, 0, 1, 1) and (self.out_h, self.out_w) == (1, 1)
        if not covers or self.in_c % 32 or self.groups > 1 or self.taps > MAX_CHANNELS:
            return self
        return replace(ConvShape.dense(self.taps, self.out_c), given_rows=self.given_rows, given_cols=self.given_cols)

    def row_classes(self) -> Array:
        """Border class of each output row, uint8 [out_h]: equal when the same kernel rows lie inside the input."""
        if self.given_rows:
            return np.array(self.given_rows, np.uint8)
        return _classes(self.in_h, self.out_h, self.kernel_h, self.stride_h, self.pad_top, self.dilation_h)

    def col_classes(self) -> Array:
        """Border class of each output column, uint8 [out_w]."""
        if self.given_cols:
            return np.array(self.given_cols, np.uint8)
        return _classes(self.in_w, self.out_w, self.kernel_w, self.stride_w, self.pad_left, self.dilation_w)

    def limit_error(self) -> str | None:
        """Why the C struct cannot hold this geometry, or None."""
        wide = (self.in_h, self.in_w, self.in_c, self.out_h, self.out_w, self.out_c)
        narrow = (self.kernel_h, self.kernel_w, self.stride_h, self.stride_w, self.pad_top, self.pad_left,
                  self.dilation_h, self.dilation_w)  # fmt: skip
        if max(wide) > MAX_CHANNELS or max(narrow) > 255:
            return "a dimension exceeds 65535, or a kernel parameter 255"
        if self.groups != 1:
            return "grouped convolution"
        return None

    def c_initializer(self, row_class: str, col_class: str) -> str:
        """C initialiser of `bnn2c_conv_shape`, with the names of the two class arrays."""
        return c_struct(
            in_h=self.in_h, in_w=self.in_w, in_c=self.in_c, out_h=self.out_h, out_w=self.out_w, out_c=self.out_c,
            kernel_h=self.kernel_h, kernel_w=self.kernel_w, stride_h=self.stride_h, stride_w=self.stride_w,
            pad_top=self.pad_top, pad_left=self.pad_left, dilation_h=self.dilation_h, dilation_w=self.dilation_w,
            col_classes=int(self.col_classes().max()) + 1, row_class=row_class, col_class=col_class,
        )  # fmt: skip


def _classes(size: int, outputs: int, kernel: int, stride: int, pad: int, dilation: int) -> Array:
    """Numbers each output position by the set of kernel positions inside 0..size-1, in order of first appearance."""
    numbers: dict[tuple[bool, ...], int] = {}
    result = np.zeros(outputs, np.uint8)
    for i in range(outputs):
        key = tuple(0 <= i * stride + k * dilation - pad < size for k in range(kernel))
        result[i] = numbers.setdefault(key, len(numbers))
    return result


def lanes(bits: Array) -> Array:
    """Packs the last axis (uint8 0/1) into uint32 words, bit i % 32 of word i / 32, spare bits 0."""
    length = bits.shape[-1]
    padded = np.zeros((*bits.shape[:-1], -(-length // 32) * 32), np.uint8)
    padded[..., :length] = bits
    return np.packbits(padded, axis=-1, bitorder="little").view("<u4").astype(np.uint32)


def digits_of(limit: int) -> int:
    """Binary digits needed for the integers 0..limit."""
    return max(1, int(limit).bit_length())
