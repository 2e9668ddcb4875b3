"""Elementwise expression over one or more tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bnn2c.expr import Arg, Expr, apply, const, evaluate
from bnn2c.expr.affine import collapse
from bnn2c.expr.c_code import Printed, class_maps, element_lines, print_c
from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.ir.op import Array, Op
from bnn2c.ir.types import TensorType


def in_place(inputs: Sequence[TensorType], output: TensorType) -> tuple[int, ...]:
    """Numbers of the inputs that an elementwise loop may overwrite."""
    return tuple(
        number
        for number, kind in enumerate(inputs)
        if kind.storage != "bits" and kind.shape == output.shape and kind.nbytes == output.nbytes
    )


@dataclass(frozen=True, eq=False)
class Map(Op):
    """`out[h, w, c] = expr(inputs[h, w, c])`; inputs and constants broadcast to `shape` [H, W, C].

    The arithmetic is float32 in the order of the expression, which is the order of the ONNX nodes; in C, chains of
    affine operations are collapsed, unless `stepwise`: the same chain is computed elsewhere, and the two are compared.
    """

    expr: Expr
    shape: tuple[int, int, int]
    storage: str = "f32"
    stepwise: bool = False

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Every input must broadcast to `shape`."""
        for kind in inputs:
            if np.broadcast_shapes(kind.shape, self.shape) != self.shape:
                raise ValueError(f"{kind} does not broadcast to {self.shape}")
        return TensorType(self.shape, self.storage)

    def reference(self, *inputs: Array) -> Array:
        """Evaluate the expression in float32."""
        value = np.asarray(evaluate(self.expr, inputs))
        return np.broadcast_to(value, self.shape).astype(NUMPY_TYPES[self.storage])

    def overwrites(self, inputs: Sequence[TensorType]) -> tuple[int, ...]:
        """Inputs with elements of the same place and size."""
        return in_place(inputs, self.infer(inputs))

    @cached_property
    def _collapsed(self) -> Expr:
        return collapse(self.expr, self.stepwise)

    @cached_property
    def _texts(self) -> dict[tuple[TensorType, ...], Printed]:
        """What was printed, by the types of the inputs: constants, parameters and headers all ask for it."""
        return {}

    def printed(self, inputs: Sequence[TensorType]) -> Printed:
        """The C statements of one element."""
        key = tuple(inputs)
        if key not in self._texts:
            self._texts[key] = print_c(self._collapsed, self.shape, inputs)
        return self._texts[key]

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Constant arrays of the expression; class maps of rows and columns where constants differ between them."""
        printed = self.printed(inputs)
        return {**printed.arrays, **class_maps(printed.classes)}

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """The C statements of a pixel and of one element: class lookups, the expression, the store."""
        body = self.printed(inputs)
        return element_lines(body.classes, body.pixel, body.statements, body.result, self.infer(inputs))

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """Mathematical helpers; those that need the C library only where they are used."""
        return ("bnn2c_map.h", *self.printed(inputs).headers)

    def describe(self) -> str:
        """The expression as C statements."""
        return f"shape={self.shape}, storage={self.storage}"


_channels = np.linspace(-1, 1, 5, dtype=np.float32).reshape(1, 1, 5)
_rows = np.arange(4, dtype=np.float32).reshape(4, 1, 1)
Map.CASES = (
    (Map(apply("add", apply("mul", Arg(0), const(_channels)), const(0.25)), (4, 3, 5)), (TensorType((4, 3, 5)),)),
    (
        Map(apply("max", apply("sub", Arg(0), const(_rows)), Arg(1)), (4, 3, 5)),
        (TensorType((4, 3, 5)), TensorType((1, 1, 5))),
    ),
    (
        Map(apply("where", apply("ge", Arg(0), const(1.0)), Arg(0), apply("neg", Arg(1))), (2, 2, 33)),
        (TensorType((2, 2, 33), "bits", 2), TensorType((2, 2, 33), "i8")),
    ),
    (Map(apply("round", apply("div", Arg(0), const(3.0))), (1, 2, 6), "i32"), (TensorType((1, 2, 6), "i32"),)),
    (Map(apply("mul", apply("tanh", Arg(0)), apply("sigmoid", Arg(0))), (1, 2, 6)), (TensorType((1, 2, 6)),)),
)
