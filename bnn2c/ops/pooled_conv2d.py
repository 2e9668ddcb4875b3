"""A binary convolution whose codes go through a max pool as they are made, never to memory as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bnn2c.ir.op import Array, Cost, Op
from bnn2c.ir.types import WORD_BITS, TensorType
from bnn2c.ir.window import Window
from bnn2c.kernels.binary import PLANE_FAMILIES, WHOLE_FAMILIES, PixelLanes, choose
from bnn2c.ops.binary_conv2d import BinaryConv2d, random_layer
from bnn2c.ops.max_pool import MaxPool

_PAIRS = Window((2, 2), (2, 2))


@dataclass(frozen=True, eq=False)
class PooledConv2d(Op):
    """`max_pool(conv(x))` for windows that lie side by side; rows and columns without a whole window are left out.

    Families with packed pixels make the pixels of a window one after the other. Those with planes make vectors of
    pixels in their order, into a ring of words per channel that holds two rows (runtime_c/bnn2c_pooled_planes.h).

    Attributes:
        conv: a BinaryConv2d with thresholds.
        pool: a pool of codes; its window has no padding, no dilation, and its stride is its size.
    """

    conv: BinaryConv2d
    pool: MaxPool

    @staticmethod
    def fits(conv: BinaryConv2d, pool: MaxPool) -> bool:
        """Whether the kernel family of the convolution can pool; every one but `WHOLE_FAMILIES` before the choice."""
        window = pool.window
        aside = window == Window(window.kernel, window.kernel)
        codes = conv.thresholds is not None and pool.largest_code is not None
        pairs = window == _PAIRS or conv.family not in PLANE_FAMILIES
        return aside and codes and pairs and conv.family not in WHOLE_FAMILIES

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Packed codes in the layout of the family."""
        if not self.fits(self.conv, self.pool):
            raise ValueError(f"{self.pool.window} cannot follow the kernel {self.conv.family or 'of'} a convolution")
        codes = self.conv.infer(inputs)
        return replace(self.pool.infer([codes]), layout=codes.layout)

    def reference(self, *inputs: Array) -> Array:
        """One after the other."""
        return self.pool.reference(self.conv.reference(*inputs))

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Those of both parts, with the part's name in front."""
        kernel = choose(self.conv, inputs[0])
        found = kernel.pitched(self._pitch(inputs)) if isinstance(kernel, PixelLanes) else kernel.constants()
        pool = self.pool.constants([self.conv.infer(inputs)])
        return {f"conv_{k}": a for k, a in found.items()} | {f"pool_{k}": a for k, a in pool.items()}

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """The kernel, and of a family with planes the words of a channel's ring."""
        kernel = choose(self.conv, inputs[0])
        planes = isinstance(kernel, PixelLanes)
        return {"kernel": kernel, "pitch": self._pitch(inputs) if planes else 0}

    def _pitch(self, inputs: Sequence[TensorType]) -> int:
        """Words of a ring: a power of two that holds a vector, and all that is not pooled before it."""
        height, width = self.conv.infer(inputs).shape[:2]
        lanes, words = self.conv.lane_words, -(-height * width // WORD_BITS)
        held = [first + lanes - _waiting(WORD_BITS * first, width) // WORD_BITS for first in range(0, words, lanes)]
        return 1 << (min(max(held), words) - 1).bit_length()

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """The convolution's work."""
        weight_bytes = sum(a.nbytes for a in self.constants(inputs).values())
        return Cost(self.conv.cost(inputs).binary_macs, weight_bytes=weight_bytes)

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The rings, or the codes of one pixel; then the convolution's own scratch."""
        codes = self.conv.infer(inputs)
        pixel = codes.planes * codes.words_per_pixel
        words = codes.shape[2] * self._pitch(inputs) if codes.layout == "planes" else pixel
        return 4 * words + self.conv.scratch_bytes(inputs)

    def stack_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The convolution's, and the loop around it."""
        return 128 + self.conv.stack_bytes(inputs)

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """The kernel's, and how it is pooled."""
        layout = self.conv.infer(inputs).layout
        return (*self.conv.headers(inputs), f"bnn2c_pooled_{layout}.h")

    def kernel(self, inputs: Sequence[TensorType]) -> str:
        """The convolution's kernel."""
        return self.conv.kernel(inputs)

    def describe(self) -> str:
        """Both parts."""
        return f"{self.conv.kind}({self.conv.describe()}), {self.pool.kind}({self.pool.describe()})"


def _waiting(pixels: int, width: int) -> int:
    """The first pixel that is needed when so many are made: that of the first pair of rows that is not complete."""
    return pixels // (2 * width) * 2 * width


_SAME = Window((3, 3), pads=(1, 1, 1, 1))
_ODD, _NONE = np.arange(40) % 3 == 0, np.zeros(40, bool)


def _case(shape: tuple[int, int, int], out: int, conv: Window, pool: MaxPool, **more: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """A layer with random weights and thresholds, pooled."""
    op, kinds = random_layer((1, more.pop("planes", 1)), shape, out, conv, **more)
    return PooledConv2d(op, pool), kinds


PooledConv2d.CASES = (
    _case((6, 8, 36), 40, _SAME, MaxPool(_PAIRS, _ODD), levels=1),
    _case((7, 5, 33), 40, _SAME, MaxPool(Window((2, 3), (2, 3)), _NONE), levels=1),
    _case((9, 7, 20), 6, Window((3, 3), (2, 1)), MaxPool(_PAIRS, _ODD[:6]), levels=3, planes=2),
    _case((5, 4, 16), 16, _SAME, MaxPool(_PAIRS, _NONE[:16]), levels=1, groups=16),
    _case((6, 5, 24), 12, _SAME, MaxPool(Window((1, 2), (1, 2)), _ODD[:12]), levels=1, groups=3),
    _case((6, 8, 36), 40, _SAME, MaxPool(_PAIRS, _ODD), levels=1, family="class_sharing"),
    _case((15, 7, 5), 6, Window((2, 3), (2, 1)), MaxPool(_PAIRS, _NONE[:6]), levels=1, family="class_sharing"),
    _case((9, 9, 40), 33, Window((1, 1)), MaxPool(_PAIRS, _ODD[:33]), levels=1, family="channel_steps"),
)
