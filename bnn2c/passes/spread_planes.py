"""Run layers of codes with several bits in the kernels for single bits.

`acc = sum_ij c_ij * mismatches(weight plane i, activation plane j)` with small factors is one count of mismatches over
more channels, in which the pair (i, j) occurs c_ij times: codes p0 + 2*p1 are the channels p0, p1, p1. The accumulator
is the same integer. Three levels 0, 1, 2 need two channels only, (p0 OR p1) and p1, whose bits are as many as the code
says; the count then is smaller by the number of weights -1 of an output, and so are its thresholds.

The fast families take single bits and one threshold at most, and cost more flash than bit-sliced planes: this is done
where it saves enough instructions, never for `--optimize size`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bnn2c.ir import Graph, Node, TensorType
from bnn2c.kernels.alternatives import alternatives, binary_part, cost_of
from bnn2c.kernels.binary import WIDE_FAMILIES, Sliced
from bnn2c.kernels.cores import widest_lanes
from bnn2c.kernels.shape import Cost
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.pooled_conv2d import PooledConv2d
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.rearrange import Rearrange
from bnn2c.ops.spread_planes import SpreadPlanes
from bnn2c.targets import Target

MOST_COPIES = 3
SPEED_GAIN = 1.25
BALANCED_GAIN = 100  # instructions per byte of flash
Spread = tuple[SpreadPlanes, BinaryConv2d]


def spread_planes(graph: Graph, target: Target, optimize: str) -> Graph:
    """Rewrite the layers in which it pays."""
    producers = {node.output: node for node in graph.nodes}
    types = dict(graph.types)
    nodes: list[Node] = []
    for node in graph.nodes:
        conv = binary_part(node.op)
        found = _spread(conv, node.inputs[0], producers) if conv is not None else None
        if conv is None or found is None or not _pays(conv, types[node.inputs[0]], found, target, optimize):
            nodes.append(node)
            continue
        spread, alone = found
        op = replace(node.op, conv=alone) if isinstance(node.op, PooledConv2d) else alone
        name = f"{node.output}_spread"
        types[name] = spread.infer([types[node.inputs[0]]])
        inputs = (name, *node.inputs[1:])
        nodes += [Node(name, spread, node.inputs[:1], node.origin), replace(node, op=op, inputs=inputs)]
    return replace(graph, nodes=tuple(nodes), types=types)


def _spread(conv: BinaryConv2d, source: str, producers: Mapping[str, Node]) -> Spread | None:
    """The copies of the channels, and the layer that reads them."""
    if conv.groups > 1 or conv.coefficients == ((1,),):
        return None
    if conv.coefficients == ((1, 2),) and conv.thresholds is not None and _three_levels(source, producers):
        negative = conv.weights[0].sum(axis=(1, 2, 3), dtype=np.int32)
        lower = np.clip(conv.thresholds - negative[:, None], 0, 2 * conv.taps + 1)
        return SpreadPlanes((3, 2)), replace(_with_copies(conv, [0, 0]), thresholds=lower.astype(np.int32))
    pairs = [(i, j) for i, row in enumerate(conv.coefficients) for j, c in enumerate(row) for _ in range(c)]
    if len(pairs) > MOST_COPIES:
        return None
    return SpreadPlanes(tuple(1 << j for _, j in pairs)), _with_copies(conv, [i for i, _ in pairs])


def _with_copies(conv: BinaryConv2d, planes: Sequence[int]) -> BinaryConv2d:
    weights = np.concatenate([conv.weights[i] for i in planes], axis=3)[None]
    return replace(conv, weights=weights, coefficients=((1,),))


def _three_levels(name: str, producers: Mapping[str, Node]) -> bool:
    """Whether the code 3 never occurs, as far as the operations that make the codes tell."""
    node = producers.get(name)
    while node is not None and isinstance(node.op, (MaxPool, Rearrange)):
        node = producers.get(node.inputs[0])
    if node is None:
        return False
    conv = binary_part(node.op)
    if conv is not None and conv.thresholds is not None:
        return bool(conv.thresholds.shape[3] == 2)
    return isinstance(node.op, Quantize) and int(node.op.codes.max()) <= 2


def _pays(conv: BinaryConv2d, kind: TensorType, found: Spread, target: Target, optimize: str) -> bool:
    now, (spread, alone) = _sliced(conv, kind, target), found
    costs = _costs(alone, spread.infer([kind]), target, optimize)
    best = min(costs, key=lambda cost: cost.instructions, default=now)
    if optimize == "speed":
        return now.instructions > SPEED_GAIN * best.instructions
    saved, extra = now.instructions - best.instructions, best.flash_bytes - now.flash_bytes
    return saved > BALANCED_GAIN * max(1, extra)


def _sliced(conv: BinaryConv2d, kind: TensorType, target: Target) -> Cost:
    """Bit-sliced planes, which take for a pair what bit-sliced channels take for all."""
    one = cost_of(Sliced.name, conv, kind, target, 1)
    assert one is not None
    weights, pairs = len(conv.weights), len(conv.weights) * len(conv.coefficients[0])
    return replace(one, instructions=pairs * one.instructions, flash_bytes=weights * one.flash_bytes)


def _costs(conv: BinaryConv2d, kind: TensorType, target: Target, optimize: str) -> list[Cost]:
    """Predictions for the families that may run the layer; on planes for speed only, where flash does not count."""
    found = [one for lanes in {1, widest_lanes(target)} for one in alternatives(conv, kind, target, lanes)]
    if optimize != "speed":
        found = [one for one in found if one.layout == "pixels" and one.family not in WIDE_FAMILIES]
    return [one.cost for one in found if one.cost is not None and not one.refused]
