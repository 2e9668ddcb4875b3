"""What each kernel family would cost for a layer: the data of the choice, and of `bnn2c inspect`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bnn2c.ir.types import TensorType
from bnn2c.kernels import (
    channel_steps,
    class_groups,
    class_sharing,
    depthwise_lanes,
    few_pixels,
    popcount_lanes,
    popcount_rows,
    sliced_channels,
    table_rows,
)
from bnn2c.kernels.binary import (
    FAMILIES,
    PLANE_FAMILIES,
    ChannelSteps,
    ClassGroups,
    ClassSharing,
    DepthwiseLanes,
    FewPixels,
    PopcountLanes,
    PopcountRows,
    Sliced,
    TableRows,
)
from bnn2c.kernels.cores import core_of, counting_row, vector_row
from bnn2c.kernels.levels import shape_of
from bnn2c.kernels.shape import ConvShape, Cost
from bnn2c.targets import Target

if TYPE_CHECKING:
    from bnn2c.ir import Graph, Op
    from bnn2c.ops.binary_conv2d import BinaryConv2d


POOLING = {1: 58, 2: 80, 4: 120, 8: 150}  # for 1 and 4 counted in the layers of CNV_1W1A, for 2 and 8 reckoned


@dataclass(frozen=True)
class Alternative:
    """One family for one layer.

    Attributes:
        family: its name.
        refused: why it cannot run the layer; empty when it can.
        cost: prediction for the target; None where the family is refused or has no model.
        layout: packing of its input and of its output bits, `pixels` or `planes`.
    """

    family: str
    refused: str
    cost: Cost | None
    layout: str = "pixels"


def alternatives(op: Op, kind: TensorType, target: Target, lane_words: int) -> list[Alternative]:
    """Every family, when vectors of the generated C have `lane_words` words; families that fit come first.

    Pooling is counted where it takes instructions of its own: bits of packed pixels are ANDed as they come.
    """
    conv = binary_part(op)
    if conv is None:
        return []
    found = []
    for name, family in FAMILIES.items():
        refused = family.refuses(replace(conv, family=name, lane_words=lane_words), kind, target.isa) or ""
        predicted = None if refused else cost_of(name, conv, kind, target, lane_words)
        layout = "planes" if name in PLANE_FAMILIES else "pixels"
        if predicted is not None and layout == "planes":
            predicted = replace(predicted, instructions=predicted.instructions + _pooling(op, kind, lane_words))
        found.append(Alternative(name, refused, predicted, layout))
    return sorted(found, key=lambda one: (bool(one.refused), one.cost is None))


def _pooling(op: Op, kind: TensorType, lane_words: int) -> int:
    """Instructions of pooling planes: so many for 32 pixels of two rows, and as many channels as a vector has words."""
    from bnn2c.ops.pooled_conv2d import PooledConv2d

    if not isinstance(op, PooledConv2d):
        return 0
    height, width, channels = op.infer([kind]).shape
    return POOLING[lane_words] * height * -(-width // 16) * -(-channels // lane_words)


def kernel_table(op: Op, kind: TensorType, target: Target, lane_words: int) -> list[dict[str, Any]]:
    """The alternatives of a layer as JSON-able rows, the chosen one marked; empty for layers that are not binary."""
    conv = binary_part(op)
    if conv is None:
        return []
    chosen = conv.kernel([kind])
    return [
        {
            "kernel": one.family,
            "chosen": one.family == chosen,
            "instructions": one.cost.instructions if one.cost else None,
            "flash_bytes": one.cost.flash_bytes if one.cost else None,
            "arena_bytes": one.cost.arena_bytes if one.cost else None,
            "refused": one.refused,
        }
        for one in alternatives(op, kind, target, lane_words)
    ]


def binary_part(op: Op) -> BinaryConv2d | None:
    """The binary convolution that an operation is or contains."""
    from bnn2c.ops.best_channel import BestChannel
    from bnn2c.ops.binary_conv2d import BinaryConv2d
    from bnn2c.ops.mapped_conv2d import MappedConv2d
    from bnn2c.ops.pooled_conv2d import PooledConv2d
    from bnn2c.ops.ranked_conv2d import RankedConv2d

    part = op.conv if isinstance(op, (BestChannel, MappedConv2d, PooledConv2d, RankedConv2d)) else op
    return part if isinstance(part, BinaryConv2d) else None


PREDICTIONS: dict[str, Callable[[ConvShape, bool, Target, int], Cost]] = {
    ClassSharing.name: lambda shape, _, target, lanes: class_sharing.cost(shape, vector_row(target, lanes)),
    ClassGroups.name: lambda shape, *_: class_groups.cost(shape),
    FewPixels.name: lambda shape, _, target, lanes: few_pixels.cost(shape, vector_row(target, lanes), core_of(target)),
    ChannelSteps.name: lambda shape, _, target, lanes: channel_steps.cost(shape, vector_row(target, lanes)),
    Sliced.name: lambda shape, bits, target, lanes: sliced_channels.cost(shape, core_of(target), bits, lanes),
    DepthwiseLanes.name: lambda shape, bits, *_: depthwise_lanes.cost(shape, bits),
    TableRows.name: lambda shape, *_: table_rows.cost(shape),
    PopcountLanes.name: lambda shape, *_: popcount_lanes.cost(shape),
    PopcountRows.name: lambda shape, _, target, __: popcount_rows.cost(shape, counting_row(target)),
}
"""Family -> its cost for a shape, with bits as results or raw sums, on a target, with vectors of so many words."""


def cost_of(family: str, op: BinaryConv2d, kind: TensorType, target: Target, lane_words: int) -> Cost | None:
    """Predicted cost; None for families without a model."""
    predict = PREDICTIONS.get(family)
    return predict(shape_of(op, kind), op.thresholds is not None, target, lane_words) if predict else None


def lane_words_of(graph: Graph) -> int:
    """BNN2C_LANE_WORDS of the generated C: all kernels with lanes share one width."""
    from bnn2c.ops.paired_conv2d import PairedConv2d

    ops = [node.op for node in graph.nodes]
    lanes = PLANE_FAMILIES | {Sliced.name}
    binary = [part for op in ops if (part := binary_part(op)) and part.family in lanes]
    widths = [op.lane_words for op in binary] + [op.lane_words for op in ops if isinstance(op, PairedConv2d)]
    return max(widths, default=1)
