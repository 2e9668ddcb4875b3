"""Operators of the FINN dialect of QONNX that stand for standard ones in channels-last or lowered form.

Definitions: the classes of the same names in the qonnx package.
"""

from __future__ import annotations

import numpy as np

from bnn2c.importer.rewriter import Rewriter

IMAGE = 4


def to_first(rank: int) -> list[int]:
    """Permutation from N, …, C to N, C, …."""
    return [0, rank - 1, *range(1, rank - 1)]


def to_last(rank: int) -> list[int]:
    """Permutation from N, C, … to N, …, C."""
    return [0, *range(2, rank), 1]


def channels_last(r: Rewriter) -> None:
    """Conv (weights are channels-last too), MaxPool, BatchNormalization between two transposes."""
    attrs = {k: v for k, v in r.attrs.items() if k != "data_layout"}
    rank = len(attrs["kernel_shape"]) + 2 if "kernel_shape" in attrs else r.rank(IMAGE)
    first, *others = r.node.input
    if r.node.op_type == "Conv":
        others[0] = r.add("Transpose", others[0], perm=to_first(rank))
    result = r.add(r.node.op_type, r.add("Transpose", first, perm=to_first(rank)), *others, **attrs)
    r.add("Transpose", result, output=r.node.output[0], perm=to_last(rank))


def max_pool_nhwc(r: Rewriter) -> None:
    """MaxPool of a channels-last image."""
    first = r.add("Transpose", r.node.input[0], perm=to_first(IMAGE))
    pooled = r.add("MaxPool", first, **r.attrs)
    r.add("Transpose", pooled, output=r.node.output[0], perm=to_last(IMAGE))


def quant_avg_pool(r: Rewriter) -> None:
    """Integer sum over a square window, shifted right so that `obits` of the widest possible sum remain."""
    kernel, stride = int(r.attrs["kernel"]), int(r.attrs["stride"])
    largest = (2 ** int(r.attrs["ibits"]) - 1) * kernel * kernel
    shift = max(0, largest.bit_length() - int(r.attrs["obits"]))
    last = r.attrs.get("data_layout", "NCHW") == "NHWC"
    x = r.add("Transpose", r.node.input[0], perm=to_first(IMAGE)) if last else r.node.input[0]
    mean = r.add("AveragePool", x, kernel_shape=[kernel] * 2, strides=[stride] * 2)
    total = r.round_half_even(r.add("Mul", mean, r.const(float(kernel * kernel))))
    shifted = r.add("Mul", total, r.const(2.0**-shift))
    if last:
        shifted = r.add("Transpose", shifted, perm=to_last(IMAGE))
    r.add("Floor", shifted, output=r.node.output[0])


def lowered_conv(r: Rewriter) -> None:
    """`MatMul(Im2Col(x), weights)` of a channels-last image: the convolution that it was lowered from.

    The weights are [kh * kw * channels, outputs], in that order of the rows.
    """
    _convolve(r, r.node.input[1])


def im2col(r: Rewriter) -> None:
    """Patches that no matrix product alone takes: every tap of the window as a channel of its own."""
    (height, width), _, channels = _window(r)
    _convolve(r, r.const(np.eye(height * width * channels)))


def _convolve(r: Rewriter, weights: str) -> None:
    (height, width), pads, channels = _window(r)
    shaped = r.add("Reshape", weights, r.const([height, width, channels, -1], np.int64))
    kernel = r.add("Transpose", shaped, perm=[3, 2, 0, 1])
    x, value = r.add("Transpose", r.node.input[0], perm=to_first(IMAGE)), float(r.attrs.get("pad_value", 0))
    if value and any(pads):
        x, pads = r.pad(x, [0, 0, *pads[:2], 0, 0, *pads[2:]], value), [0] * 4
    strides, dilations = list(r.attrs["stride"]), list(r.attrs.get("dilations", [1, 1]))
    found = r.add("Conv", x, kernel, kernel_shape=[height, width], pads=pads, strides=strides, dilations=dilations)
    r.add("Transpose", found, output=r.node.output[0], perm=to_last(IMAGE))


def _window(r: Rewriter) -> tuple[list[int], list[int], int]:
    """Kernel size, pads (as Conv has them), and channels of the input as `input_shape` states them."""
    height, width = (int(k) for k in r.attrs["kernel_size"])
    shape = [int(n) for n in str(r.attrs["input_shape"]).strip("()[] ").split(",") if n.strip()]
    return [height, width], [int(p) for p in r.attrs.get("pad_amount", [0] * 4)], shape[3]
