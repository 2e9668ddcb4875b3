"""Quantise accumulators as soon as they are complete.

`quantize(binary_conv2d(x))` becomes one operation when the accumulator has no other reader and its codes are monotone
in it. A channel whose code falls while the accumulator rises gets its weights inverted: with `acc' = N - acc` (N the
largest accumulator), `acc >= b` is `acc' <= N - b`, so all channels compare in one direction.
In a padded stream the codes of the first and last frames have breaks of their own (`Onset`): they become classes of the
convolution, which take no weights of their own.
A channel whose code is constant has a threshold that every or no accumulator reaches; its weights become 0, so that
the C does not depend on how a dead channel was trained.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.ir import Graph, Node, TensorType
from bnn2c.kernels.binary import choose
from bnn2c.kernels.popcount import Popcount
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.onset import Onset
from bnn2c.ops.onset_conv2d import OnsetConv2d
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
    step = _all_variants(node.op) if isinstance(node.op, Onset) else node.op
    if not isinstance(step, Quantize) or source is None or not isinstance(source.op, BinaryConv2d):
        return node
    if source.op.thresholds is not None or len(readers[source.output]) > 1 or source.output in _outputs(graph):
        return node
    op = quantised(source.op, step)
    if op is not None and isinstance(node.op, Onset):
        op = _with_given_classes(op, node.op.axis, graph.types[source.inputs[0]])
    if op is None:
        return node
    origin = tuple(dict.fromkeys(source.origin + node.origin))
    return Node(node.output, op, source.inputs + node.inputs[1:], origin, source.why + node.why)


def _all_variants(onset: Onset) -> Quantize | None:
    """One quantiser with a class for each variant."""
    steps = [op for op in onset.variants if isinstance(op, Quantize)]
    if len(steps) < len(onset.variants) or onset.axis == 2:
        return None
    width = max(step.breaks.shape[3] for step in steps)
    breaks = [np.pad(s.breaks, [(0, 0)] * 3 + [(0, width - s.breaks.shape[3])], constant_values=np.inf) for s in steps]
    codes = [np.pad(s.codes, [(0, 0)] * 3 + [(0, width + 1 - s.codes.shape[3])], mode="edge") for s in steps]
    kinds = np.arange(max(len(steps), len(_along(steps[0], onset.axis)))) % len(steps)
    step = replace(steps[0], breaks=np.concatenate(breaks, onset.axis), codes=np.concatenate(codes, onset.axis))
    return replace(step, row_class=kinds) if onset.axis == 0 else replace(step, col_class=kinds)


def _along(step: Quantize, axis: int) -> Array:
    return step.row_class if axis == 0 else step.col_class


def _with_given_classes(conv: BinaryConv2d, axis: int, kind: TensorType) -> OnsetConv2d | None:
    """The convolution whose classes along time are an input; None where the general kernel would have to run it."""
    given = OnsetConv2d(**vars(conv), axis=axis)
    return None if isinstance(choose(given, kind), Popcount) else given


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
