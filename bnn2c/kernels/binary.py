"""The kernel of a binary convolution: one class per family, and which one runs a layer (passes/choose_kernels.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

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
    sliced_planes,
    table_rows,
)
from bnn2c.kernels.kernel import Kernel
from bnn2c.kernels.levels import class_levels, class_thresholds, shape_of
from bnn2c.kernels.popcount import Popcount
from bnn2c.kernels.shape import Array, Layer

if TYPE_CHECKING:
    from bnn2c.ops.binary_conv2d import BinaryConv2d

MAX_WASTED_BYTES = 1024


class OnePlane(Kernel):
    """A family for one activation plane and one weight plane; its module packs a layer for lanes of some width."""

    module: ClassVar[ModuleType]
    two_layouts: ClassVar[bool] = False  # whether the module lays weights in rows or in diagonals

    def __init__(self, op: BinaryConv2d, kind: TensorType) -> None:
        self.shape, self.thresholded, self.diagonal = shape_of(op, kind), op.thresholds is not None, op.diagonal
        thresholds = class_thresholds(op, self.shape)
        layout = (self.diagonal,) if self.two_layouts else ()
        self.layer: Layer = self.module.layer(self.shape, op.weights[0], thresholds, op.lane_words, *layout)
        self.header, self.struct = self.module.HEADER, self.module.STRUCT

    @classmethod
    def refuses(cls, op: BinaryConv2d, kind: TensorType, isa: Sequence[str] = ()) -> str | None:
        """Layers of several planes or thresholds, what the module does not support, and poor choices."""
        shape = shape_of(op, kind)
        if op.coefficients != ((1,),):
            return "several bit planes"
        if op.thresholds is not None and class_thresholds(op, shape) is None:
            return "several thresholds in a border class"
        reason: str | None = cls.module.supports(shape, isa) or cls.wastes(op, shape.taps)
        return reason

    @classmethod
    def wastes(cls, op: BinaryConv2d, taps: int) -> str | None:
        """Why the family would be a poor choice, or None."""
        return None

    @property
    def function(self) -> str:
        """The C function without its suffix."""
        return self.layer.function

    @property
    def pixel_function(self) -> str:
        """Named after the header."""
        return self.header.removesuffix(".h")

    def constants(self) -> dict[str, Array]:
        """The arrays of the module's `layer`."""
        return self.layer.arrays

    def initializer(self, names: Mapping[str, str]) -> str:
        """That of the layer."""
        return self.layer.initializer(dict(names))

    def call(self, params: str, source: str, scratch: str, out: str, result: str) -> str:
        """That of the layer."""
        return self.layer.call(params, source, scratch, out, result)

    def scratch_bytes(self) -> int:
        """Patches, counters, carries."""
        return 4 * self.layer.scratch_words


class Sliced(OnePlane):
    """Output-channel lanes with vertical counters."""

    name = "sliced_channels"
    module: ClassVar[ModuleType] = sliced_channels
    two_layouts = True

    @classmethod
    def wastes(cls, op: BinaryConv2d, taps: int) -> str | None:
        """Empty lanes cost flash."""
        return _empty_lanes(op.weights.shape[1], taps, op.lane_words)

    @property
    def pixel_function(self) -> str:
        """That of pointwise layers reads the pixel where it lies: there is scratch for no patch of it."""
        return self.function

    def consumes_input(self) -> bool:
        """The patch of a dense layer is its input: it may be encoded where it lies. Diagonals read it as it is."""
        return not self.diagonal and self.shape.pointwise and (self.shape.in_h, self.shape.in_w) == (1, 1)


class OnlyBits(OnePlane):
    """A family without a form for raw sums."""

    @classmethod
    def wastes(cls, op: BinaryConv2d, taps: int) -> str | None:
        """There is no form with raw output."""
        return "no thresholds: only bits leave this kernel" if op.thresholds is None else None


class PixelLanes(OnlyBits):
    """A family whose lanes are pixels: bit planes per channel in and out."""

    def pitched(self, words: int) -> dict[str, Array]:
        """The constants when output planes lie `words` words apart."""
        return self.constants()


class ChannelSteps(PixelLanes):
    """Pixel lanes; the sum of an output channel starts from that of the channel before."""

    name = "channel_steps"
    module: ClassVar[ModuleType] = channel_steps

    def pitched(self, words: int) -> dict[str, Array]:
        """The order of the channels holds the places of their planes."""
        return channel_steps.pitched(self.shape, self.layer.arrays, words)


class ClassSharing(PixelLanes):
    """Pixel lanes; four output channels share the sums of their weight classes."""

    name = "class_sharing"
    module: ClassVar[ModuleType] = class_sharing


class ClassGroups(PixelLanes):
    """Class sharing for several groups of four channels, one in each word of a vector."""

    name = "class_groups"
    module: ClassVar[ModuleType] = class_groups

    @classmethod
    def wastes(cls, op: BinaryConv2d, taps: int) -> str | None:
        """A word of one group at a time is class sharing, with a longer list."""
        return super().wastes(op, taps) or ("vectors of one word" if op.lane_words == 1 else None)


class FewPixels(PixelLanes):
    """Class sharing, with bit-sliced channels for the pixels of a last word that fill few lanes."""

    name = "few_pixels"
    module: ClassVar[ModuleType] = few_pixels
    shape_member = "many.shape"
    two_layouts = True

    @classmethod
    def wastes(cls, op: BinaryConv2d, taps: int) -> str | None:
        """Vectors are left to the others."""
        return super().wastes(op, taps) or ("vectors of several words" if op.lane_words != 1 else None)


class PopcountRows(OnePlane):
    """Population counts of whole rows, where an instruction counts bits."""

    name = "popcount_rows"
    module: ClassVar[ModuleType] = popcount_rows


class TableRows(OnlyBits):
    """A byte per counter and channel, four weights a byte; for vectors that permute bytes."""

    name = "table_rows"
    module: ClassVar[ModuleType] = table_rows


class PopcountLanes(OnlyBits):
    """A word per counter and channel; for vectors that count the bits of words."""

    name = "popcount_lanes"
    module: ClassVar[ModuleType] = popcount_lanes


class DepthwiseLanes(OnePlane):
    """One input channel for each output channel; 32 of them side by side."""

    name = "depthwise_lanes"
    module: ClassVar[ModuleType] = depthwise_lanes


class SlicedPlanes(Kernel):
    """Output-channel lanes, several planes."""

    name = "sliced_planes"
    header = sliced_planes.HEADER
    struct = sliced_planes.STRUCT

    def __init__(self, op: BinaryConv2d, kind: TensorType) -> None:
        self.op, self.kind, self.shape = op, kind, shape_of(op, kind)

    @classmethod
    def refuses(cls, op: BinaryConv2d, kind: TensorType, isa: Sequence[str] = ()) -> str | None:
        """Few outputs, factors other than powers of two, thresholds per position."""
        shape = shape_of(op, kind)
        if empty := _empty_lanes(shape.out_c, shape.taps * len(op.weights), 1):
            return empty
        if sliced_planes.plan(op.coefficients) is None or op.largest >= 1 << (sliced_channels.MAX_PLANES - 1):
            return "factors that are not powers of two, or too many weights"
        if op.thresholds is not None and class_levels(op, shape) is None:
            return "a threshold per position"
        return sliced_channels.supports(shape)

    @property
    def pixel_function(self) -> str:
        """Named after the struct."""
        return self.struct

    def constants(self) -> dict[str, Array]:
        """Plan, encoded weights, counter presets, border classes."""
        op = self.op
        return sliced_planes.pack(self.shape, op.weights, op.coefficients, class_levels(op, self.shape), op.diagonal)

    def initializer(self, names: Mapping[str, str]) -> str:
        """Planes, digits and levels of the codes."""
        levels = 0 if self.op.thresholds is None else self.op.thresholds.shape[3]
        return sliced_planes.initializer(self.shape, self.op.coefficients, self.kind.planes, levels, names)

    def call(self, params: str, source: str, scratch: str, out: str, result: str) -> str:
        """All pixels."""
        return f"bnn2c_sliced_planes_{result}({params}, {source}, {scratch}, {out});"

    def scratch_bytes(self) -> int:
        """Patches and carries."""
        return 4 * sliced_planes.scratch_words(self.shape, self.kind.planes)


def _empty_lanes(channels: int, taps: int, lane_words: int) -> str | None:
    if -channels % (32 * lane_words) * taps > 8 * MAX_WASTED_BYTES * lane_words:
        return "few output channels leave most lanes empty"
    return None


_ORDERED: tuple[type[Kernel], ...] = (
    ClassSharing,
    ClassGroups,
    FewPixels,
    ChannelSteps,
    Sliced,
    PopcountRows,
    PopcountLanes,
    TableRows,
    DepthwiseLanes,
    SlicedPlanes,
    Popcount,
)
FAMILIES: dict[str, type[Kernel]] = {family.name: family for family in _ORDERED}
WIDE_FAMILIES = frozenset({TableRows.name})  # more than a bit per weight, packed pixels
WHOLE_FAMILIES = frozenset({TableRows.name, PopcountLanes.name})  # only whole maps leave them, no single pixels
PLANE_FAMILIES = frozenset(name for name, family in FAMILIES.items() if issubclass(family, PixelLanes))
_CHOSEN: WeakKeyDictionary[BinaryConv2d, dict[TensorType, Kernel]] = WeakKeyDictionary()


def choose(op: BinaryConv2d, kind: TensorType) -> Kernel:
    """The kernel that runs a layer; packed once."""
    known = _CHOSEN.setdefault(op, {})
    if kind not in known:
        known[kind] = (FAMILIES[op.family] if op.family else _portable(op, kind))(op, kind)
    return known[kind]


def _portable(op: BinaryConv2d, kind: TensorType) -> type[Kernel]:
    """The family of a layer for which none was chosen."""
    families: tuple[type[Kernel], ...] = (Sliced, DepthwiseLanes, SlicedPlanes)
    return next((family for family in families if family.refuses(op, kind) is None), Popcount)
