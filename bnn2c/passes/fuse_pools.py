"""Let a binary convolution pool its codes as it makes them.

`max_pool(conv(x))` with one reader of the convolution becomes one operation (`ops/pooled_conv2d.py`): the same codes,
the same pool, no unpooled map in memory. Applies to convolutions with thresholds, whose border classes are known, and
windows side by side. It runs before kernels are chosen; where a family is chosen that cannot pool, the two are taken
apart again (`passes/choose_kernels.py`).
"""

from __future__ import annotations

from bnn2c.ir import Graph, Node, Op
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.pooled_conv2d import PooledConv2d
from bnn2c.passes.pairs import fuse_pairs


def fuse_pools(graph: Graph) -> Graph:
    """Fuse every pair it can."""
    return fuse_pairs(graph, _pooled)


def _pooled(source: Node, node: Node) -> Op | None:
    conv, pool = source.op, node.op
    if not isinstance(conv, BinaryConv2d) or not isinstance(pool, MaxPool) or len(source.inputs) > 1:
        return None
    return PooledConv2d(conv, pool) if PooledConv2d.fits(conv, pool) else None
