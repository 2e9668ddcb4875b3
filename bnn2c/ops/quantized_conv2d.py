"""A convolution whose sums are quantised pixel by pixel, so that they never go to memory as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnn2c.ir.op import Array, Cost, Op
from bnn2c.ir.types import TensorType
from bnn2c.ir.window import Window
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.integer_conv2d import IntegerConv2d
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.sign_conv2d import SignConv2d
from bnn2c.ops.ternary_conv2d import TernaryConv2d


@dataclass(frozen=True, eq=False)
class QuantizedConv2d(Op):
    """`step(conv(x))` for a Conv2d, SignConv2d, TernaryConv2d or IntegerConv2d.

    Attributes:
        conv: the convolution.
        step: the quantiser of its output.
    """

    conv: Op
    step: Quantize

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Packed codes."""
        return self.step.infer([self.conv.infer(inputs)])

    def reference(self, *inputs: Array) -> Array:
        """One after the other."""
        return self.step.reference(self.conv.reference(*inputs))

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Those of both parts, with the part's name in front."""
        found = {f"conv_{k}": a for k, a in self.conv.constants(inputs).items()}
        return found | {f"step_{k}": a for k, a in self.step.constants([self.conv.infer(inputs)]).items()}

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """The convolution's work."""
        work = self.conv.cost(inputs)
        return Cost(work.binary_macs, work.real_macs, sum(a.nbytes for a in self.constants(inputs).values()))

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """One pixel of sums, then the convolution's own scratch."""
        return self.pixel_bytes(inputs) + self.conv.scratch_bytes(inputs)

    def pixel_bytes(self, inputs: Sequence[TensorType]) -> int:
        """Bytes of one pixel of sums."""
        return 4 * self.conv.infer(inputs).shape[2]

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """Those of both parts."""
        return (*self.conv.headers(inputs), *self.step.headers([self.conv.infer(inputs)]))

    def kernel(self, inputs: Sequence[TensorType]) -> str:
        """The convolution's kernel."""
        return self.conv.kernel(inputs)

    def stack_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The convolution's; the quantiser runs after it."""
        return self.conv.stack_bytes(inputs)


_rng = np.random.default_rng(0)
_step = Quantize(
    np.zeros((1, 1, 6, 1)),
    np.tile(np.array([1, 0], np.uint8), (1, 1, 6, 1)),
    np.zeros(4, np.int64),
    np.zeros(5, np.int64),
)
_window = Window((3, 3), pads=(1, 1, 1, 1))
_bits, _signs = _rng.integers(0, 2, (6, 3, 3, 2)), _rng.choice([-1, 1], (6, 3, 3, 2))
QuantizedConv2d.CASES = (
    (QuantizedConv2d(Conv2d(_rng.standard_normal((6, 3, 3, 2)), _window), _step), (TensorType((4, 5, 2)),)),
    (QuantizedConv2d(SignConv2d(_bits, np.ones(6), _window), _step), (TensorType((4, 5, 2)),)),
    (QuantizedConv2d(TernaryConv2d(_signs * _bits, np.ones(6), _window), _step), (TensorType((4, 5, 2)),)),
    (QuantizedConv2d(IntegerConv2d(_signs, _window), _step), (TensorType((4, 5, 2), "i8"),)),
)
