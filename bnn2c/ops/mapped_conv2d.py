"""A convolution whose integer sums go through an elementwise expression pixel by pixel, never to memory as a whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.expr import Arg, apply, const
from bnn2c.ir.op import Array, Cost, Op
from bnn2c.ir.types import TensorType
from bnn2c.ir.window import Window
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.fixed_map import FixedMap
from bnn2c.ops.integer_conv2d import IntegerConv2d
from bnn2c.ops.map import Map

_ALIGNED = 8  # bytes, as the arena: the kernel's scratch begins behind the sums


@dataclass(frozen=True, eq=False)
class MappedConv2d(Op):
    """`map(..., conv(x), ...)`: scale, bias, PReLU and the shortcut of a binary convolution in one loop.

    Inputs are x, then the other operands of the map in their order.

    Attributes:
        conv: BinaryConv2d without thresholds, or IntegerConv2d.
        map: the expression; its operand number `slot` is the sum.
        slot: see there.
    """

    conv: BinaryConv2d | IntegerConv2d
    map: Map | FixedMap
    slot: int

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """What the map makes of the sums."""
        return self.map.infer(self.operands(inputs[1:], self.conv.infer(inputs[:1])))

    def reference(self, *inputs: Array) -> Array:
        """One after the other."""
        return self.map.reference(*self.operands(inputs[1:], self.conv.reference(inputs[0])))

    def operands(self, others: Sequence[Any], sums: Any) -> list[Any]:  # noqa: ANN401 - types or arrays
        """The map's operands: the others, and the sums in their place."""
        return [*others[: self.slot], sums, *others[self.slot :]]

    def _map_types(self, inputs: Sequence[TensorType]) -> list[TensorType]:
        """Operands as the loop sees them: of the sums there is one pixel."""
        sums = self.conv.infer(inputs[:1])
        return self.operands(inputs[1:], TensorType((1, 1, sums.shape[2]), sums.storage))

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Those of both parts, with the part's name in front."""
        found = {f"conv_{k}": a for k, a in self.conv.constants(inputs[:1]).items()}
        return found | {f"map_{k}": a for k, a in self.map.constants(self._map_types(inputs)).items()}

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """C names of the sums and of the other operands, the map's statements, where the scratch begins."""
        printed = self.map.params(self._map_types(inputs))
        lines = {key: [re.sub(r"@(\w+)@", r"@map_\1@", line) for line in found] for key, found in printed.items()}
        return {
            "sums": f"in{self.slot}",
            "names": [f"in{k + (k >= self.slot)}" for k in range(len(inputs) - 1)],
            "pixel_words": self._pixel_bytes(inputs) // 4,
            **lines,
        }

    def _pixel_bytes(self, inputs: Sequence[TensorType]) -> int:
        sums = self.conv.infer(inputs[:1])
        return -(-sums.nbytes // (sums.shape[0] * sums.shape[1]) // _ALIGNED) * _ALIGNED

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """The convolution's work."""
        work = self.conv.cost(inputs[:1])
        return Cost(work.binary_macs, work.real_macs, sum(a.nbytes for a in self.constants(inputs).values()))

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """One pixel of sums, then the convolution's own scratch."""
        return self._pixel_bytes(inputs) + self.conv.scratch_bytes(inputs[:1])

    def stack_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The convolution's, and the loop around it."""
        return 128 + self.conv.stack_bytes(inputs[:1])

    def overwrites(self, inputs: Sequence[TensorType]) -> tuple[int, ...]:
        """Operands of the map that are read before the same element is written."""
        others = self.map.overwrites(self._map_types(inputs))
        return tuple(k + (k < self.slot) for k in others if k != self.slot)

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """Those of both parts."""
        return (*self.conv.headers(inputs[:1]), *self.map.headers(self._map_types(inputs)))

    def kernel(self, inputs: Sequence[TensorType]) -> str:
        """The convolution's kernel."""
        return self.conv.kernel(inputs[:1])

    def describe(self) -> str:
        """Both parts."""
        return f"{self.conv.kind}({self.conv.describe()}), {self.map.kind}({self.map.describe()}), slot={self.slot}"


_rng = np.random.default_rng(0)
_scale = const(_rng.standard_normal((1, 1, 40)).astype(np.float32))
_real = apply("max", apply("add", apply("mul", Arg(1), _scale), Arg(0)), const(0.0))
_window = Window((3, 3), pads=(1, 1, 1, 1))


def _bits(*shape: int) -> Array:
    return _rng.integers(0, 2, shape).astype(np.uint8)


MappedConv2d.CASES = (
    (
        MappedConv2d(BinaryConv2d(_bits(1, 40, 3, 3, 20), ((1,),), _window), Map(_real, (4, 5, 40)), 1),
        (TensorType((4, 5, 20), "bits"), TensorType((4, 5, 40))),
    ),
    (
        MappedConv2d(BinaryConv2d(_bits(2, 40, 1, 1, 33), ((1, 2), (2, 4)), Window((1, 1))), Map(_real, (3, 2, 40)), 1),
        (TensorType((3, 2, 33), "bits", 2), TensorType((3, 2, 40))),
    ),
    (
        MappedConv2d(BinaryConv2d(_bits(1, 40, 1, 1, 70), ((1,),), Window((1, 1))), Map(_real, (4, 3, 40)), 1),
        (TensorType((4, 3, 70), "bits"), TensorType((4, 3, 40))),
    ),
    (
        MappedConv2d(BinaryConv2d(_bits(1, 40, 3, 3, 1), ((1,),), _window, 40), Map(_real, (4, 3, 40)), 1),
        (TensorType((4, 3, 40), "bits"), TensorType((1, 1, 40))),
    ),
    (
        MappedConv2d(
            IntegerConv2d(_rng.choice([-1, 1], (40, 3, 3, 3)), _window),
            Map(apply("add", apply("mul", Arg(0), _scale), Arg(1)), (4, 5, 40)),
            0,
        ),
        (TensorType((4, 5, 3), "u8"), TensorType((4, 5, 40))),
    ),
)
