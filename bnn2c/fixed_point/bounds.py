"""Bounds of integer tensors, from the operations that make them."""

from __future__ import annotations

import numpy as np

from bnn2c.ir import Graph
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.concat import Concat
from bnn2c.ops.integer_conv2d import IntegerConv2d
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.rearrange import Rearrange

STORED = {
    "u8": (0, 255), "i8": (-128, 127), "i16": (-32768, 32767), "i32": (-(2**31) + 1, 2**31 - 1), "f32": (0, 0)
}  # fmt: skip


def bounds_of(graph: Graph, name: str) -> tuple[int, int]:
    """Smallest and largest integer that a value can hold."""
    kind = graph.types[name]
    if kind.storage == "bits":
        return 0, (1 << kind.planes) - 1
    node = next((n for n in graph.nodes if n.output == name), None)
    if node is None:
        return STORED[kind.storage]
    if isinstance(node.op, BinaryConv2d):
        return 0, node.op.largest
    if isinstance(node.op, IntegerConv2d):
        low, high = bounds_of(graph, node.inputs[0])
        size = int(np.abs(node.op.weights.astype(np.int64)).reshape(len(node.op.weights), -1).sum(axis=1).max())
        return -size * max(-low, high), size * max(-low, high)
    if isinstance(node.op, (Rearrange, MaxPool, Concat)):
        found = [bounds_of(graph, n) for n in node.inputs]
        return min(0, *(f[0] for f in found), 0), max(0, *(f[1] for f in found), 0)
    return STORED[kind.storage]
