"""The winner among the output channels of a binary convolution, found where they are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bnn2c.ir.op import Array, Cost, Op
from bnn2c.ir.types import TensorType
from bnn2c.ir.window import Window
from bnn2c.kernels.best_rows import best_rows, runs
from bnn2c.kernels.shape import Layer
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.binary_conv2d import BinaryConv2d, random_layer

_BEST_BYTES = 4 * 31  # of the best counters and their blocks, per word of lanes


@dataclass(frozen=True, eq=False)
class BestChannel(Op):
    """`pick(conv(x))` without a sum in memory: [H, W, C] -> int32 [H, W, 1].

    Attributes:
        conv: a layer that `kernels/best_rows.py` runs.
        pick: the comparison.
    """

    conv: BinaryConv2d
    pick: ArgMax

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """int32 indices."""
        if not runs(self.conv, inputs[0]):
            raise ValueError("the sums of this layer are not compared as they are counted")
        return self.pick.infer([self.conv.infer(inputs)])

    def reference(self, *inputs: Array) -> Array:
        """One after the other."""
        return self.pick.reference(self.conv.reference(*inputs))

    def _layer(self, inputs: Sequence[TensorType]) -> Layer:
        return best_rows(self.conv, inputs[0], not self.pick.smallest, self.pick.last)

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Weights as the kernel wants them."""
        return self._layer(inputs).arrays

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """The kernel."""
        return {"kernel": self._layer(inputs)}

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """The convolution's work."""
        weight_bytes = sum(a.nbytes for a in self.constants(inputs).values())
        return Cost(self.conv.cost(inputs).binary_macs, weight_bytes=weight_bytes)

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """Encoded inputs and carries."""
        return 4 * self._layer(inputs).scratch_words

    def stack_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The convolution's, and the best counters."""
        return 64 + self.conv.stack_bytes(inputs) + _BEST_BYTES * self.conv.lane_words

    def scratch_on_input(self, inputs: Sequence[TensorType]) -> bool:
        """A single pixel in rows is read before anything is written."""
        return self.infer(inputs).size == 1 and not self.conv.diagonal

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """The kernel's."""
        return (f"{self._layer(inputs).function}.h",)

    def kernel(self, inputs: Sequence[TensorType]) -> str:
        """The kernel's name."""
        return self._layer(inputs).function.removeprefix("bnn2c_")

    def describe(self) -> str:
        """Both parts."""
        return f"{self.conv.kind}({self.conv.describe()}), {self.pick.describe()}"


_window = Window((1, 1))
BestChannel.CASES = tuple(
    (BestChannel(conv, ArgMax(last, smallest)), kind)
    for number, shape in enumerate(((1, 1, 100), (3, 2, 33), (1, 1, 70)))
    for channels in ((1, 33, 300)[number],)
    for last in (False, True)
    for smallest in (False, True)
    for conv, kind in [random_layer((1, 1), shape, channels, _window, family="sliced_channels")]
)
