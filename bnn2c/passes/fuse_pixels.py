"""Quantise the sums of a first layer pixel by pixel.

`quantize(conv(x))` with one reader becomes one operation: the same sums, the same comparisons, but only one pixel of
sums in memory. Applies to integer, addition-only and real convolutions; binary ones have their own fused thresholds.
8-bit integers times signs with one threshold per output have a kernel for several pixels at a time.
"""

from __future__ import annotations

from bnn2c.ir import Graph, Node, Op
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.integer_conv2d import IntegerConv2d
from bnn2c.ops.paired_conv2d import PairedConv2d
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.quantized_conv2d import QuantizedConv2d
from bnn2c.ops.sign_conv2d import SignedSums
from bnn2c.passes.pairs import fuse_pairs


def fuse_pixels(graph: Graph) -> Graph:
    """Fuse every pair it can."""
    return fuse_pairs(graph, _quantised)


def _quantised(source: Node, node: Node) -> Op | None:
    conv, step = source.op, node.op
    if not isinstance(step, Quantize) or not isinstance(conv, (Conv2d, SignedSums, IntegerConv2d)):
        return None
    paired = isinstance(conv, IntegerConv2d) and PairedConv2d.fits(conv, step)
    return (PairedConv2d if paired else QuantizedConv2d)(conv, step)
