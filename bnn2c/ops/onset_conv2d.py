"""A binary convolution of a padded stream, whose thresholds differ in the first and last frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnn2c.ir.op import Array
from bnn2c.ir.types import TensorType
from bnn2c.ops.binary_conv2d import BinaryConv2d

PARAMETER_BYTES = 192


@dataclass(frozen=True, eq=False)
class OnsetConv2d(BinaryConv2d):
    """`BinaryConv2d` whose class of each frame comes as an input (`FrameClasses`).

    Attributes:
        axis: 0 rows, 1 columns: the physical axis that is time.
    """

    axis: int = 1

    @property
    def classes_along(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """All classes along time, at least one for each position."""
        assert self.row_class is not None and self.col_class is not None
        found = tuple(int(n) for n in (self.row_class, self.col_class)[self.axis])
        return (found, ()) if self.axis == 0 else ((), found)

    def reference(self, *inputs: Array) -> Array:
        """The convolution with the given classes."""
        given = inputs[1].ravel().astype(np.int64)
        now = replace(self, row_class=given) if self.axis == 0 else replace(self, col_class=given)
        return BinaryConv2d.reference(now, inputs[0])

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """The kernel's, and what copies its parameters."""
        return (*super().headers(inputs), "bnn2c_parameters.h")

    def stack_bytes(self, inputs: Sequence[TensorType]) -> int:
        """The kernel's, and a copy of its parameters."""
        return super().stack_bytes(inputs) + PARAMETER_BYTES
