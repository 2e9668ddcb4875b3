"""A convolution whose channels are only compared: the index of the winner leaves it, never all of its sums."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bnn2c.expr import Arg, apply, const
from bnn2c.ir.op import Array, Cost, Op
from bnn2c.ir.types import TensorType
from bnn2c.ir.window import Window
from bnn2c.kernels.binary import choose
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.binary_conv2d import BinaryConv2d, random_layer
from bnn2c.ops.fixed_map import FixedMap
from bnn2c.ops.map import Map
from bnn2c.ops.sign_conv2d import SignConv2d

Compared = BinaryConv2d | SignConv2d
_ALIGNED = 8  # bytes, as the arena
_LEAST_ROWS = 64
_ROWS_PER_TAP = {BinaryConv2d: 1, SignConv2d: 2}


@dataclass(frozen=True, eq=False)
class RankedConv2d(Op):
    """`pick(map(conv(x)))` for a convolution without groups: [H, W, C] -> int32 [H, W, 1].

    The sums of `rows` channels at a time are in memory, and the best one so far of each pixel.

    Attributes:
        conv: what the sums are; a binary convolution has no thresholds.
        map: what becomes of them, from the sums alone; None where the sums are compared.
        pick: the comparison.
    """

    conv: Compared
    map: Map | FixedMap | None
    pick: ArgMax

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """int32 indices."""
        return self.pick.infer([self._values(self.conv.infer(inputs))])

    def reference(self, *inputs: Array) -> Array:
        """One after the other."""
        sums = self.conv.reference(*inputs)
        return self.pick.reference(sums if self.map is None else self.map.reference(sums))

    def _values(self, sums: TensorType) -> TensorType:
        """What is compared."""
        return sums if self.map is None else self.map.infer([sums])

    @property
    def channels(self) -> int:
        """Output channels."""
        return int(self.conv.weights.shape[1 if isinstance(self.conv, BinaryConv2d) else 0])

    @property
    def _wanted(self) -> int:
        """Channels of a block, at least: with them the work per block and input is little beside that of the sums."""
        per_channel = self.conv.weights.size // self.channels
        return max(_LEAST_ROWS, per_channel * _ROWS_PER_TAP[type(self.conv)])

    @property
    def rows(self) -> int:
        """Channels of a block; those that the last one has too many are copies of the last channel, and few."""
        unit = 32 * self.conv.lane_words if isinstance(self.conv, BinaryConv2d) else 4
        counts = range(max(1, self.channels // (2 * self._wanted)), max(1, self.channels // self._wanted) + 1)
        sizes = [-(-self.channels // (count * unit)) * unit for count in counts]
        return min(sizes, key=lambda size: (-self.channels % size, size))

    def fits(self) -> bool:
        """Whether there are so many channels that blocks save memory."""
        thresholded = isinstance(self.conv, BinaryConv2d) and self.conv.thresholds is not None
        return self.conv.groups == 1 and not thresholded and self.channels >= 2 * self._wanted

    def parts(self, kind: TensorType) -> list[Compared]:
        """The convolution for each block of channels."""
        conv, rows = self.conv, self.rows
        if isinstance(conv, BinaryConv2d):
            conv = replace(conv, family=choose(conv, kind).name)
        starts = range(0, self.channels, rows)
        return [conv.of_channels(np.minimum(np.arange(first, first + rows), self.channels - 1)) for first in starts]

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Those of all blocks, one after the other where they differ, and those of the map."""
        parts = [part.constants(inputs) for part in self.parts(inputs[0])]
        found = {f"map_{k}": a for k, a in self._of_map(inputs).items()}
        for key, array in parts[0].items():
            same = all(np.array_equal(array, part[key]) for part in parts)
            found[f"part_{key}"] = array if same else np.stack([part[key] for part in parts])
        return found

    def _of_map(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        return {} if self.map is None else self.map.constants([self._pixel(inputs)])

    def _pixel(self, inputs: Sequence[TensorType]) -> TensorType:
        """The sums of a pixel, as the loop over its channels reads them."""
        sums = self.conv.infer(inputs)
        return TensorType((1, 1, sums.shape[2]), sums.storage)

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """Blocks, the statements of one channel, how it is compared, and where the parts of the scratch begin."""
        part, found = self.parts(inputs[0])[0], self.constants(inputs)
        own = part.constants(inputs)
        sums, best = self._places(inputs)
        values = self._values(self.conv.infer(inputs))
        variant = "min" if self.pick.smallest else "max"
        return {
            "part": part,
            "struct": _struct(part, inputs[0]),
            "moving": {k: a.size for k, a in own.items() if found[f"part_{k}"].size > a.size},
            "lines": self._lines(inputs, values),
            "kept": "float" if values.storage == "f32" else "int32_t",
            "worst": _worst(variant, values.storage),
            "take": f"{variant}{'_last' if self.pick.last else ''}_{values.storage}",
            "sums_words": sums // 4,
            "scratch_words": best // 4,
        }

    def _lines(self, inputs: Sequence[TensorType], values: TensorType) -> list[str]:
        """Statements that compute `value` from the sum of channel c."""
        if self.map is None:
            return [f"const {values.c_type} value = in0[c];"]
        per_channel = {k for k, a in self._of_map(inputs).items() if a.ndim == 3 and a.shape[2] > 1}

        def placed(found: re.Match[str]) -> str:
            return f"@map_{found[1]}@[{'first + ' if found[1] in per_channel else ''}"

        printed = self.map.params([self._pixel(inputs)])
        lines = [re.sub(r"@(\w+)@\[", placed, line) for line in (*printed["pixel"], *printed["lines"])]
        named = [re.sub(r"@(?!map_)(\w+)@", r"@map_\1@", line) for line in lines]
        return [line.replace("*out = ", f"const {values.c_type} value = ") for line in named]

    def _places(self, inputs: Sequence[TensorType]) -> tuple[int, int]:
        """Bytes of the best values; of these and the sums of a block: where the convolution's own scratch begins."""
        sums = self.parts(inputs[0])[0].infer(inputs)
        best = -(-4 * sums.shape[0] * sums.shape[1] // _ALIGNED) * _ALIGNED
        return best, best + -(-sums.nbytes // _ALIGNED) * _ALIGNED

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """The convolution's work."""
        work = self.conv.cost(inputs)
        return Cost(work.binary_macs, work.real_macs, sum(a.nbytes for a in self.constants(inputs).values()))

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The best values, the sums of a block, the convolution's own scratch."""
        return self._places(inputs)[1] + self.parts(inputs[0])[0].scratch_bytes(inputs)

    def stack_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The convolution's, and the loops around it."""
        return 256 + self.conv.stack_bytes(inputs)

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """Those of the parts; for real numbers infinity."""
        of_map = () if self.map is None else self.map.headers([self._pixel(inputs)])
        real = self._values(self.conv.infer(inputs)).storage == "f32"
        return (*self.conv.headers(inputs), *of_map, "bnn2c_ranked_conv2d.h", *(("bnn2c_map.h",) if real else ()))

    def kernel(self, inputs: Sequence[TensorType]) -> str:
        """The convolution's kernel."""
        return self.conv.kernel(inputs)

    def describe(self) -> str:
        """The parts."""
        of_map = "" if self.map is None else f", {self.map.kind}({self.map.describe()})"
        return f"{self.conv.kind}({self.conv.describe()}){of_map}, {self.pick.describe()}"


def _struct(conv: Compared, kind: TensorType) -> str:
    """C type of the parameters."""
    return choose(conv, kind).struct if isinstance(conv, BinaryConv2d) else f"bnn2c_{conv.kind}_t"


def _worst(variant: str, storage: str) -> str:
    """C text of the number that no other loses to; integers of 16 bits or less are compared as such."""
    if storage == "f32":
        return "BNN2C_INFINITY" if variant == "min" else "-BNN2C_INFINITY"
    return f"INT{32 if storage == 'i32' else 16}_{'MAX' if variant == 'min' else 'MIN'}"


_rng = np.random.default_rng(0)
_dense = Window((1, 1))
_scaled = Map(apply("mul", Arg(0), const(_rng.standard_normal((1, 1, 150)).astype(np.float32))), (1, 3, 150))
_signs = _rng.integers(0, 2, (150, 1, 1, 9)).astype(np.uint8)
_wide, _kind = random_layer((1, 1), (1, 3, 40), 150, _dense)
_planes, _codes = random_layer((1, 2), (2, 1, 33), 170, _dense)
_conv, _map_kind = random_layer((1, 1), (3, 4, 5), 130, Window((3, 3), pads=(1, 1, 1, 1)))
RankedConv2d.CASES = (
    (RankedConv2d(_wide, _scaled, ArgMax()), _kind),
    (RankedConv2d(_wide, None, ArgMax(last=True)), _kind),
    (RankedConv2d(_planes, None, ArgMax(smallest=True)), _codes),
    (RankedConv2d(_conv, None, ArgMax(last=True, smallest=True)), _map_kind),
    (RankedConv2d(SignConv2d(_signs, np.ones(150), _dense), None, ArgMax(last=True)), (TensorType((2, 2, 9)),)),
)
