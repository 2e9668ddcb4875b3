"""The quantisers of QONNX, Brevitas and FINN as standard ONNX nodes.

Definitions: the QONNX operator documentation, in the float32 order in which its executor computes them.
"""

from __future__ import annotations

import numpy as np
import onnx

from bnn2c.importer.rewriter import Rewriter

MAX_THRESHOLDS = 4096


def bipolar_quant(r: Rewriter) -> None:
    """`scale * (x >= 0 ? 1 : -1)`."""
    x, scale = r.node.input[0], r.real(1)
    r.add("Mul", r.side(x, r.const(0.0)), scale, output=r.node.output[0])


def quant(r: Rewriter) -> None:
    """`(round(clip(x / scale + zero, low, high)) - zero) * scale`; one signed bit is a sign with 0 -> +1."""
    x, scale, zero = r.node.input[0], r.real(1), r.real(2)
    bits = _width(r, 3, "the bit width")
    shifted = r.add("Add", r.add("Div", x, scale), zero)
    if bits == 1 and r.attrs.get("signed", 1):
        level = r.side(shifted, r.const(0.0))
    else:
        level = r.rounded(_clipped(r, shifted, bits), r.attrs.get("rounding_mode", "ROUND"))
    r.add("Mul", r.add("Sub", level, zero), scale, output=r.node.output[0])


def _width(r: Rewriter, position: int, what: str) -> float:
    """A bit width, the same for all channels."""
    widths = np.unique(r.known(position, what))
    if widths.size != 1:
        raise r.refuse(f"{what} of {r.node.op_type} differs between channels")
    return float(widths[0])


def _clipped(r: Rewriter, x: str, bits: float) -> str:
    """Into the range of `bits`-bit integers."""
    signed, narrow = bool(r.attrs.get("signed", 1)), bool(r.attrs.get("narrow", 0))
    low = -(2.0 ** (bits - 1)) + narrow if signed else 0.0
    high = 2.0 ** (bits - 1) - 1 if signed else 2.0**bits - 1 - narrow
    return r.clip(x, low, high)


def trunc(r: Rewriter) -> None:
    """Drop least significant bits of `x / scale + zero`.

    Version 1 (five operands) divides by 2 to the difference of the bit widths and keeps the scale; version 2 (six)
    states the scale of the result and clips to its width.
    """
    x, scale, zero = r.node.input[0], r.real(1), r.real(2)
    whole = r.round_half_even(r.add("Add", r.add("Div", x, scale), zero))
    mode = r.attrs.get("rounding_mode", "FLOOR")
    if len(r.node.input) > 5:
        ratio = np.log2(r.known(4, "the output scale") / r.known(1, "the scale"))
        removed = r.const(2.0 ** np.round(ratio))
        cut = _clipped(r, r.add("Div", whole, removed), _width(r, 5, "the output width"))
        rest = r.add("Sub", r.rounded(cut, mode), r.add("Div", zero, removed))
        r.add("Mul", rest, r.real(4), output=r.node.output[0])
        return
    removed = r.const(2.0 ** (_width(r, 3, "the input width") - _width(r, 4, "the output width")))
    kept = r.rounded(r.add("Div", whole, removed), mode)
    r.add("Mul", r.add("Sub", kept, zero), scale, output=r.node.output[0])


def multi_threshold(r: Rewriter) -> None:
    """`out_bias + out_scale * #{j : x >= T[c, j]}`; `data_layout` says which axis the channels are on."""
    x = r.node.input[0]
    steps = np.asarray(r.known(1, "the thresholds"), np.float32)
    if steps.ndim != 2 or steps.shape[1] > MAX_THRESHOLDS:
        raise ValueError(f"thresholds {list(steps.shape)} are not a matrix of at most {MAX_THRESHOLDS} columns")
    shape = _channel_shape(r, x) if len(steps) > 1 else ""
    total = r.const(0.0)
    for column in steps.T:
        level = r.add("Reshape", r.const(column), shape) if shape else r.const(column)
        total = r.add("Add", total, r.add("Cast", r.at_least(x, level), to=onnx.TensorProto.FLOAT))
    scaled = r.add("Mul", total, r.const(r.attrs.get("out_scale", 1.0)))
    r.add("Add", scaled, r.const(r.attrs.get("out_bias", 0.0)), output=r.node.output[0])


def _channel_shape(r: Rewriter, x: str) -> str:
    """[1, …, -1, …, 1] with as many axes as `x` has and -1 on the channels.

    Without a layout QONNX takes three axes as N, W, C and the channels of all other ranks to be on axis 1.
    """
    layout = str(r.attrs.get("data_layout", ""))
    rank = r.add("Shape", r.add("Shape", x))  # onnxruntime infers another value for Size(Shape(x))
    if layout.endswith("C"):
        axis = r.add("Sub", rank, r.const([1], np.int64))
    elif "C" in layout:
        axis = r.const([layout.index("C")], np.int64)
    else:
        last, second = r.const([2], np.int64), r.const([1], np.int64)
        axis = r.add("Where", r.add("Equal", rank, r.const([3], np.int64)), last, second)
    marked = r.add("OneHot", axis, rank, r.const([1, -1], np.int64))
    return r.add("Reshape", marked, r.const([-1], np.int64))


def xnor_popcount(r: Rewriter) -> None:
    """Number of equal bits of {0,1} matrices: `(K + (2a-1)(2w-1)) / 2`."""
    size = float(r.known(1, "the weights").shape[0])
    sides = [r.add("Sub", r.add("Mul", name, r.const(2.0)), r.const(1.0)) for name in r.node.input[:2]]
    dot = r.add("MatMul", *sides)
    r.add("Mul", r.add("Add", dot, r.const(size)), r.const(0.5), output=r.node.output[0])
