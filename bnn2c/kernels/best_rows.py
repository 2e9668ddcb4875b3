"""The winner among the channels of a binary dense layer, without their sums.

The kernels are runtime_c/bnn2c_sliced_best.h and runtime_c/bnn2c_popcount_best.h. They find the channel with the fewest
mismatches; where the most are wanted the weights are inverted, so that a sum of `acc` becomes `taps - acc`. Lanes and
rows behind the last channel are copies of it: whenever one of them wins the last channel is as good.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bnn2c.ir.types import TensorType
from bnn2c.kernels import popcount_rows, sliced_channels
from bnn2c.kernels.binary import PopcountRows, Sliced, choose
from bnn2c.kernels.c_struct import c_struct
from bnn2c.kernels.levels import shape_of
from bnn2c.kernels.shape import Array, ConvShape, Layer

if TYPE_CHECKING:
    from bnn2c.ops.binary_conv2d import BinaryConv2d


def runs(conv: BinaryConv2d, kind: TensorType) -> bool:
    """Whether a layer has such a kernel: sums of one plane, and a patch that lies in the input as it is."""
    shape = shape_of(conv, kind)
    if conv.thresholds is not None or not isinstance(choose(conv, kind), (Sliced, PopcountRows)):
        return False
    whole = (shape.kernel_h, shape.kernel_w, shape.out_h, shape.out_w) == (shape.in_h, shape.in_w, 1, 1)
    return shape.pointwise or (whole and shape.in_c % 32 == 0 and not any(conv.window.pads))


def best_rows(conv: BinaryConv2d, kind: TensorType, most: bool, last: bool) -> Layer:
    """The layer of the winner; the C function takes the parameters, the input, for lanes the scratch, and the output.

    Args:
        conv: what the sums are.
        kind: its input.
        most: whether the largest sum wins.
        last: whether the last of equal sums wins.
    """
    shape, bits = shape_of(conv, kind), conv.weights[0] ^ np.uint8(most)
    if isinstance(choose(conv, kind), Sliced):
        return _sliced(shape, bits, last, conv.lane_words, conv.diagonal)
    padded = _filled(bits, popcount_rows.ROWS)
    rows = popcount_rows.layer(_of(shape, padded), padded, None)
    template = c_struct(**_sizes(shape), last=0xFFFF if last else 0, weights="$weights")
    return Layer({"weights": rows.arrays["weights"]}, template, 0, "bnn2c_popcount_best")


def _sliced(shape: ConvShape, bits: Array, last: bool, lane_words: int, diagonal: bool) -> Layer:
    padded = _filled(bits, 32 * lane_words)
    weights = sliced_channels.pack(_of(shape, padded), padded, None, lane_words, diagonal)["weights"]
    places = (len(padded) // (32 * lane_words) - 1).bit_length()
    template = c_struct(
        **_sizes(shape), planes=sliced_channels.planes_of(shape, False), places=places,
        last=0xFFFFFFFF if last else 0, weights="$weights",
    )  # fmt: skip
    return Layer({"weights": weights}, template, sliced_channels.scratch_words(shape, lane_words), "bnn2c_sliced_best")


def _sizes(shape: ConvShape) -> dict[str, int]:
    return {"pixels": shape.out_h * shape.out_w, "words": -(-shape.taps // 32), "channels": shape.out_c}


def _filled(bits: Array, block: int) -> Array:
    """Weight bits [O, …] with copies of the last channel up to a multiple of `block`."""
    return np.pad(bits, [(0, -len(bits) % block), (0, 0), (0, 0), (0, 0)], mode="edge")


def _of(shape: ConvShape, bits: Array) -> ConvShape:
    """The shape with as many channels as there are weights."""
    return replace(shape, out_c=len(bits))
