"""Quantise accumulators as soon as they are complete.

`quantize(binary_conv2d(x))` becomes one operation when the accumulator has no other reader and its codes are monotone
in it. A channel whose code falls while the accumulator rises gets its weights inverted: with `acc' = N - acc` (N the
largest accumulator), `acc >= b` is `acc' <= N - b`, so all channels compare in one direction.
A channel whose code is constant has a threshold that every or no accumulator reaches; its weights become 0, so that
the C does not depend on how a dead channel was trained.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.ir import Graph, Node
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.quantize import Quantize
from bnn2c.passes.cleanup import drop_dead


def fuse_thresholds(graph: Graph) -> Graph:
    """Fuse every pair it can."""
    producers = {node.output: node for node in graph.nodes}
    readers = graph.consumers()
    nodes = tuple(_fused(graph, node, producers, readers) for node in graph.nodes)
    return drop_dead(replace(graph, nodes=nodes))


def _fused(graph: Graph, node: Node, producers: dict[str, Node], readers: dict[str, list[Node]]) -> Node:
    source = producers.get(node.inputs[0]) if node.inputs else None
    if not isinstance(node.op, Quantize) or source is None or not isinstance(source.op, BinaryConv2d):
        return node
    if source.op.thresholds is not None or len(readers[source.output]) > 1 or source.output in _outputs(graph):
        return node
    op = quantised(source.op, node.op)
    if op is None:
        return node
    origin = tuple(dict.fromkeys(source.origin + node.origin))
    return Node(node.output, op, source.inputs, origin, source.why + node.why)


def _outputs(graph: Graph) -> set[str]:
    return {port.value for port in graph.outputs}


def quantised(conv: BinaryConv2d, step: Quantize) -> BinaryConv2d | None:
    """The fused convolution, or None when some channel's codes are not monotone."""
    levels = 1 << step.planes
    change = np.diff(step.codes.astype(np.int64), axis=-1)
    rising, falling = (change >= 0).all(axis=(0, 1, 3)), (change <= 0).all(axis=(0, 1, 3))
    if not bool((rising | falling).all()):
        return None
    invert = np.asarray(~rising)
    thresholds = np.stack([_threshold(step, level, invert, conv.largest) for level in range(1, levels)], axis=-1)
    unused = np.asarray(rising & falling)[None, :, None, None, None]
    weights = np.where(unused, 0, conv.weights ^ invert[None, :, None, None, None]).astype(np.uint8)
    return replace(
        conv,
        weights=weights,
        thresholds=thresholds.astype(np.int32),
        row_class=step.row_class,
        col_class=step.col_class,
    )


def _threshold(step: Quantize, level: int, invert: Array, largest: int) -> Array:
    """Smallest accumulator (after inversion) whose code is at least `level`; largest + 1 when none is."""
    reached = step.codes >= level
    edges = np.concatenate([np.full((*step.breaks.shape[:3], 1), -np.inf), step.breaks], axis=-1)
    first = np.where(reached, edges, np.inf).min(axis=-1)
    after = np.where(~reached, edges, np.inf).min(axis=-1)
    upward = np.clip(first, 0, largest + 1)
    downward = np.where(reached[..., 0], np.clip(largest - after + 1, 0, largest + 1), largest + 1)
    return np.where(invert, downward, upward)
