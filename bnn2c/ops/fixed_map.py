"""Elementwise expression in integer arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn2c.expr.c_code import class_maps, element_lines
from bnn2c.fixed_point.print_program import PrintedProgram, print_program
from bnn2c.fixed_point.program import Program
from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType
from bnn2c.ops.map import in_place


@dataclass(frozen=True, eq=False)
class FixedMap(Op):
    """`out[h, w, c] = program(inputs[h, w, c])`: exact int32 arithmetic, saturated to the storage of the result.

    Attributes:
        program: the integer steps (docs/fixed-point.md).
        shape: [H, W, C]; inputs broadcast to it.
        storage: integer type of the result.
    """

    program: Program
    shape: tuple[int, int, int]
    storage: str

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Every input must be an integer tensor that broadcasts to `shape`."""
        for kind in inputs:
            if kind.storage == "f32" or np.broadcast_shapes(kind.shape, self.shape) != self.shape:
                raise ValueError(f"{kind} into a fixed-point map of {self.shape}")
        return TensorType(self.shape, self.storage)

    def reference(self, *inputs: Array) -> Array:
        """Run the program on all elements."""
        return np.broadcast_to(self.program.run(inputs), self.shape).astype(NUMPY_TYPES[self.storage])

    def overwrites(self, inputs: Sequence[TensorType]) -> tuple[int, ...]:
        """Inputs with elements of the same place and size."""
        return in_place(inputs, self.infer(inputs))

    def printed(self, inputs: Sequence[TensorType]) -> PrintedProgram:
        """The C statements of one element."""
        return print_program(self.program, inputs)

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Constant arrays of the program; class maps of rows and columns where constants differ between them."""
        printed = self.printed(inputs)
        return {**printed.arrays, **class_maps(self.program.classes)}

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """The C statements of a pixel and of one element: class lookups, the program, the store."""
        body = self.printed(inputs)
        return element_lines(self.program.classes, (), body.statements, body.result, self.infer(inputs))

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """Rounding helpers; level codes need their reader."""
        codes = any(kind.storage == "bits" for kind in inputs)
        return ("bnn2c_fixed.h", *(["bnn2c_map.h"] if codes else []))

    def describe(self) -> str:
        """Number of steps."""
        return f"shape={self.shape}, storage={self.storage}, steps={len(self.program.steps)}"
