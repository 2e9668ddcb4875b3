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

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.ir import Graph, Node, Op, TensorType
from bnn2c.kernels.binary import choose
from bnn2c.kernels.popcount import Popcount
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.onset import Onset
from bnn2c.ops.onset_conv2d import OnsetConv2d
from bnn2c.ops.quantize import Quantize
from bnn2c.passes.pairs import fuse_pairs


def fuse_thresholds(graph: Graph) -> Graph:
    """Fuse every pair it can."""
    return fuse_pairs(graph, lambda source, node: _compared(source, node, graph.types))


def _compared(source: Node, node: Node, types: Mapping[str, TensorType]) -> Op | None:
    conv, step = source.op, _all_variants(node.op) if isinstance(node.op, Onset) else node.op
    if not isinstance(step, Quantize) or not isinstance(conv, BinaryConv2d) or conv.thresholds is not None:
        return None
    op = quantised(conv, step)
    if op is not None and isinstance(node.op, Onset):
        return _with_given_classes(op, node.op.axis, types[source.inputs[0]])
    return op


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
