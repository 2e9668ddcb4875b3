"""The kernel of a binary convolution: bit-sliced channels where it can, population count for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from bnn2c.ir.types import TensorType
from bnn2c.kernels import class_sharing, sliced_channels, sliced_planes
from bnn2c.kernels.shape import Array, ConvShape
from bnn2c.packing import pack_words

if TYPE_CHECKING:
    from bnn2c.ops.binary_conv2d import BinaryConv2d

MAX_WASTED_BYTES = 1024


def shape_of(op: BinaryConv2d, kind: TensorType) -> ConvShape:
    """The operation's geometry as the kernel families describe it."""
    window = op.window
    height, width = window.output(*kind.shape[:2])
    return ConvShape(
        *kind.shape,
        height,
        width,
        op.weights.shape[1],
        *window.kernel,
        *window.stride,
        *window.pads[:2],
        *window.dilation,
        op.groups,
    )


class Sliced:
    """Output-channel lanes with vertical counters; one plane, no groups."""

    name = "sliced_channels"
    header = sliced_channels.HEADER
    struct = sliced_channels.STRUCT

    def __init__(self, op: BinaryConv2d, kind: TensorType) -> None:
        self.op, self.shape = op, shape_of(op, kind)

    @classmethod
    def refuses(cls, op: BinaryConv2d, kind: TensorType) -> str | None:
        """Why the family cannot run the layer, or None."""
        if op.coefficients != ((1,),):
            return "several bit planes"
        shape = shape_of(op, kind)
        if -shape.out_c % 32 * shape.taps > 8 * MAX_WASTED_BYTES:
            return "few output channels leave most lanes empty"
        reason = sliced_channels.supports(shape)
        return (
            reason
            if reason or class_thresholds(op, shape) is not None or op.thresholds is None
            else "a threshold per position"
        )

    def constants(self) -> dict[str, Array]:
        """Encoded weights, counter presets, border classes."""
        return sliced_channels.pack(self.shape, self.op.weights[0], class_thresholds(self.op, self.shape))

    def initializer(self, names: Mapping[str, str]) -> str:
        """C initialiser of the parameter struct."""
        return sliced_channels.struct_initializer(self.shape, dict(names), self.op.thresholds is not None)

    def call(self, params: str, source: str, scratch: str, out: str, result: str) -> str:
        """The C statement."""
        return sliced_channels.call(params, source, scratch, out, result)

    def scratch_bytes(self) -> int:
        """Patch and carries."""
        return 4 * sliced_channels.scratch_words(self.shape)

    def consumes_input(self) -> bool:
        """The patch of a dense layer is its input: it may be encoded where it lies."""
        return (self.shape.in_h, self.shape.in_w) == (1, 1) and self.shape.taps == self.shape.in_c


def class_thresholds(op: BinaryConv2d, shape: ConvShape) -> Array | None:
    """Thresholds `m > t` per padding class, int32 [classes, O]; None when thresholds vary within a padding class."""
    levels = class_levels(op, shape)
    return None if levels is None or levels.shape[2] != 1 else np.asarray(levels[:, :, 0] - 1, np.int32)


def class_levels(op: BinaryConv2d, shape: ConvShape) -> Array | None:
    """Thresholds `acc >= t` per padding class, int32 [classes, O, levels]; None when one class has several."""
    if op.thresholds is None or op.row_class is None or op.col_class is None:
        return None
    rows, cols = shape.row_classes(), shape.col_classes()
    row_of, col_of = _representatives(rows, op.row_class), _representatives(cols, op.col_class)
    if row_of is None or col_of is None:
        return None
    chosen = op.thresholds[row_of][:, col_of]
    return np.asarray(chosen.reshape(-1, *chosen.shape[2:]), np.int32)


def _representatives(outer: Array, inner: Array) -> list[int] | None:
    """The inner class of each outer class, None when one outer class holds several inner ones."""
    found = [set(inner[outer == k].tolist()) for k in range(int(outer.max()) + 1)]
    return [s.pop() for s in found] if all(len(s) == 1 for s in found) else None


class Popcount:
    """The general kernel."""

    name = "popcount"
    header = "bnn2c_binary_conv2d.h"
    struct = "bnn2c_binary_conv2d_t"

    def __init__(self, op: BinaryConv2d, kind: TensorType) -> None:
        self.op, self.kind = op, kind
        self.width = op.weights.shape[4]
        offsets = [(g * self.width) % 32 for g in range(op.groups)]
        self.words = max(-(-(o + self.width) // 32) for o in offsets)

    def constants(self) -> dict[str, Array]:
        """Weights in place within their words, group masks, thresholds, class maps."""
        op = self.op
        found = {
            "coefficients": np.asarray(op.coefficients, np.uint8),
            "weights": self._placed(op.weights, op.weights.shape[1] // op.groups),
            "mask": self._placed(np.ones((1, op.groups, 1, 1, self.width), np.uint8), 1).reshape(op.groups, -1),
        }
        if op.thresholds is not None and op.row_class is not None and op.col_class is not None:
            found["thresholds"] = op.thresholds.astype(np.int32)
            found |= {"rows": op.row_class.astype(np.uint16), "cols": op.col_class.astype(np.uint16)}
        return found

    def _placed(self, bits: Array, per_group: int) -> Array:
        """Bits [planes, O, KH, KW, width] shifted to their group's place: words [planes, O, KH, KW, group words]."""
        placed = np.zeros((*bits.shape[:4], self.words * 32), np.uint8)
        for o in range(bits.shape[1]):
            start = (o // per_group * self.width) % 32
            placed[:, o, :, :, start : start + self.width] = bits[:, o]
        return pack_words(placed)

    def initializer(self, names: Mapping[str, str]) -> str:
        """C initialiser of the parameter struct."""
        op, window = self.op, self.op.window
        height, width = window.output(*self.kind.shape[:2])
        levels = op.thresholds.shape[3] if op.thresholds is not None else 0
        classes = op.thresholds.shape[1] if op.thresholds is not None else 1
        numbers = (
            *self.kind.shape[:2], self.kind.words_per_pixel, height, width, op.weights.shape[1], *window.kernel,
            *window.stride, *window.dilation, *window.pads[:2], op.groups, self.width, self.words, levels, classes,
            self.kind.planes, len(op.coefficients), int(levels).bit_length(),
        )  # fmt: skip
        arrays = [names.get(k, "NULL") for k in ("coefficients", "weights", "mask", "thresholds", "rows", "cols")]
        return "{" + ", ".join([*(f"{n}u" for n in numbers), *arrays]) + "}"

    def call(self, params: str, source: str, scratch: str, out: str, result: str) -> str:
        """The C statement."""
        return f"bnn2c_binary_conv2d_{result}({params}, {source}, {scratch}, {out});"

    def consumes_input(self) -> bool:
        """The input is only read."""
        return False

    def scratch_bytes(self) -> int:
        """The patch."""
        return 4 * self.op.window.kernel[0] * self.op.window.kernel[1] * self.kind.words_per_pixel * self.kind.planes


class ClassSharing:
    """Pixel lanes; four output channels share the sums of their weight classes. Bit planes in and out."""

    name = "class_sharing"
    header = class_sharing.HEADER
    struct = class_sharing.STRUCT

    def __init__(self, op: BinaryConv2d, kind: TensorType) -> None:
        shape = shape_of(op, kind)
        self.layer = class_sharing.layer(shape, op.weights[0], class_thresholds(op, shape), op.lane_words)

    @classmethod
    def refuses(cls, op: BinaryConv2d, kind: TensorType) -> str | None:
        """Why the family cannot run the layer, or None."""
        shape = shape_of(op, kind)
        if op.coefficients != ((1,),):
            return "several bit planes"
        if class_thresholds(op, shape) is None:
            return "no threshold per border class"
        return class_sharing.supports(shape)

    def constants(self) -> dict[str, Array]:
        """Class lists, bounds, border classes."""
        return self.layer.arrays

    def initializer(self, names: Mapping[str, str]) -> str:
        """C initialiser of the parameter struct."""
        return self.layer.initializer(dict(names))

    def call(self, params: str, source: str, scratch: str, out: str, result: str) -> str:
        """The C statement."""
        return class_sharing.call(params, source, scratch, out, result)

    def consumes_input(self) -> bool:
        """The input is only read."""
        return False

    def scratch_bytes(self) -> int:
        """Patches, class sums and counters."""
        return 4 * self.layer.scratch_words


class SlicedPlanes:
    """Output-channel lanes, several planes."""

    name = "sliced_planes"
    header = sliced_planes.HEADER
    struct = sliced_planes.STRUCT

    def __init__(self, op: BinaryConv2d, kind: TensorType) -> None:
        self.op, self.kind, self.shape = op, kind, shape_of(op, kind)

    @classmethod
    def refuses(cls, op: BinaryConv2d, kind: TensorType) -> str | None:
        """Why the family cannot run the layer, or None."""
        shape = shape_of(op, kind)
        if -shape.out_c % 32 * shape.taps * len(op.weights) > 8 * MAX_WASTED_BYTES:
            return "few output channels leave most lanes empty"
        if sliced_planes.plan(op.coefficients) is None or op.largest >= 1 << (sliced_channels.MAX_PLANES - 1):
            return "factors that are not powers of two, or too many weights"
        if op.thresholds is not None and class_levels(op, shape) is None:
            return "a threshold per position"
        return sliced_channels.supports(shape)

    def constants(self) -> dict[str, Array]:
        """Plan, encoded weights, counter presets, border classes."""
        return sliced_planes.pack(self.shape, self.op.weights, self.op.coefficients, class_levels(self.op, self.shape))

    def initializer(self, names: Mapping[str, str]) -> str:
        """C initialiser of the parameter struct."""
        levels = 0 if self.op.thresholds is None else self.op.thresholds.shape[3]
        return sliced_planes.initializer(self.shape, self.op.coefficients, self.kind.planes, levels, names)

    def call(self, params: str, source: str, scratch: str, out: str, result: str) -> str:
        """The C statement."""
        return f"bnn2c_sliced_planes_{result}({params}, {source}, {scratch}, {out});"

    def consumes_input(self) -> bool:
        """The input is only read."""
        return False

    def scratch_bytes(self) -> int:
        """Patches and carries."""
        return 4 * sliced_planes.scratch_words(self.shape, self.kind.planes)


Kernel = Sliced | SlicedPlanes | Popcount | ClassSharing
_CHOSEN: WeakKeyDictionary[BinaryConv2d, dict[TensorType, Kernel]] = WeakKeyDictionary()


def choose(op: BinaryConv2d, kind: TensorType) -> Kernel:
    """The kernel that runs a layer; packed once."""
    known = _CHOSEN.setdefault(op, {})
    if kind not in known:
        known[kind] = _packed(op, kind)
    return known[kind]


def _packed(op: BinaryConv2d, kind: TensorType) -> Kernel:
    if op.family == ClassSharing.name:
        return ClassSharing(op, kind)
    families: tuple[type[Sliced | SlicedPlanes], ...] = (Sliced, SlicedPlanes)
    return next((f(op, kind) for f in families if f.refuses(op, kind) is None), None) or Popcount(op, kind)
