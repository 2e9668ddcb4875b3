"""The importer's tool box: emit physical operations for logical tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bnn2c.analysis.intervals import ANY, Interval, interval_of
from bnn2c.errors import Diagnostic
from bnn2c.expr import Arg, Expr, apply, compress, const
from bnn2c.expr.functions import FUNCTIONS
from bnn2c.importer.limits import Limits
from bnn2c.importer.tensors import Array, Tensor, View, is_permutation, shape3
from bnn2c.ir import Op
from bnn2c.ir.builder import Builder
from bnn2c.ops.concat import Concat
from bnn2c.ops.map import Map
from bnn2c.ops.rearrange import Rearrange

FLOAT = np.dtype(np.float32)


class Context:
    """Builds the graph; knows which ONNX node is being imported.

    Attributes:
        intervals: of every value, between which numbers its elements lie.
        held: integer values whose interval was compared with their type.
        reported: values about which there was a warning, and what is computed from them.
        converted: integers that were real numbers, which float32 holds whatever their size.
        diverged: constants that no training should give, by name: the node and operator, and what they hold.
        warnings: about the import.
    """

    def __init__(self, builder: Builder, limits: Limits) -> None:
        self.builder = builder
        self.limits = limits
        self.origin = ""
        self.hint = ""
        self.intervals: dict[str, Interval] = {}
        self.held: set[str] = set()
        self.reported: set[str] = set()
        self.converted: set[str] = set()
        self.diverged: dict[str, tuple[str, str, str]] = {}
        self.warnings: list[Diagnostic] = []
        self._placed: dict[tuple[str, bytes, tuple[int, ...]], str] = {}

    def emit(self, op: Op, inputs: Sequence[str]) -> str:
        """Append an operation that belongs to the current ONNX node."""
        self.limits.step()
        name = self.builder.emit(op, inputs, self.hint, [self.origin] if self.origin else [])
        self.limits.room(self.shape(name), self.origin or self.hint)
        known = [self.intervals.get(value, ANY) for value in inputs]
        self.intervals[name] = interval_of(op, known, [self.shape(value) for value in inputs])
        for kept in (self.held, self.converted):
            if isinstance(op, (Rearrange, Concat)) and kept.issuperset(inputs):
                kept.add(name)
        if not self.reported.isdisjoint(inputs):
            self.reported.add(name)
        if 0 in self.shape(name):
            raise ValueError("a tensor has no elements")
        return name

    def shape(self, value: str) -> tuple[int, int, int]:
        """Physical shape of a value."""
        return self.builder.types[value].shape

    def physical(self, tensor: Tensor, wanted: Array) -> str:
        """A value of shape `wanted.shape` [H, W, C] whose elements are the positions `wanted` of the view's value."""
        if not isinstance(tensor, View):
            return self.constant_value(tensor.astype(np.float32).ravel()[wanted])
        shape = self.shape(tensor.value)
        size = self.builder.types[tensor.value].size
        if shape == wanted.shape and wanted.size == size and np.array_equal(wanted.ravel(), np.arange(size)):
            return tensor.value
        index = np.ascontiguousarray(wanted, np.int32)
        key = (tensor.value, index.tobytes(), index.shape)
        if key not in self._placed:
            self._placed[key] = self.emit(Rearrange(index), [tensor.value])
        return self._placed[key]

    def constant_value(self, array: Array) -> str:
        """A physical value that holds a constant [H, W, C]."""
        height, width, channels = array.shape
        return self.emit(Map(const(array.astype(np.float32)), (height, width, channels)), [])

    def as_view(self, tensor: Tensor) -> View:
        """The tensor as a view; a constant is materialised."""
        if isinstance(tensor, View):
            return tensor
        value = self.constant_value(np.asarray(tensor, np.float32).reshape(shape3(tensor.shape)))
        return View(value, np.arange(tensor.size, dtype=np.int32).reshape(tensor.shape), tensor.dtype)

    def view(self, value: str, logical: Sequence[int], dtype: npt.DTypeLike = FLOAT) -> View:
        """A value seen in C order as a logical tensor."""
        size = self.builder.types[value].size
        return View(value, np.arange(size, dtype=np.int32).reshape(tuple(logical)), np.dtype(dtype))

    def elementwise(self, fn: str, *operands: Tensor | float, dtype: npt.DTypeLike = FLOAT) -> Tensor:
        """Apply an elementwise function with ONNX broadcasting; constants fold."""
        tensors = [t if isinstance(t, View) else np.asarray(t) for t in operands]
        known = [t for t in tensors if not isinstance(t, View)]
        if len(known) == len(tensors):
            return np.asarray(FUNCTIONS[fn].numpy(*(t.astype(np.float32) for t in known))).astype(dtype)
        shape = np.broadcast_shapes(*(t.shape for t in tensors))
        self.limits.room(shape, self.origin or self.hint)
        order, physical = self._arrangement(tensors, shape)
        inverse = np.empty(order.size, np.int64)
        inverse[order] = np.arange(order.size)
        args, values = self._operands(tensors, shape, inverse.reshape(physical))
        name = self.emit(Map(apply(fn, *args), physical), values)
        return View(name, order.astype(np.int32).reshape(shape), np.dtype(dtype))

    def stays_within(self, tensor: Tensor, low: float, high: float) -> None:
        """Declare between which numbers the elements of a result lie, where its operation alone does not tell."""
        if isinstance(tensor, View):
            self.intervals[tensor.value] = low, high

    def _arrangement(self, tensors: Sequence[Tensor], shape: tuple[int, ...]) -> tuple[Array, tuple[int, int, int]]:
        """Physical position of each logical element, taken from the first operand that fills a value completely."""
        for tensor in tensors:
            if isinstance(tensor, View) and tensor.index.size == int(np.prod(shape)):
                size = self.builder.types[tensor.value].size
                if is_permutation(tensor.index, size):
                    return tensor.index.ravel(), self.shape(tensor.value)
        return np.arange(int(np.prod(shape))), shape3(shape)

    def _operands(
        self, tensors: Sequence[Tensor], shape: tuple[int, ...], inverse: Array
    ) -> tuple[list[Expr], list[str]]:
        """Expression leaves for the operands, and the distinct values they read."""
        args: list[Expr] = []
        values: list[str] = []
        for tensor in tensors:
            if not isinstance(tensor, View):
                args.append(const(_placed_constant(tensor, shape, inverse)))
                continue
            spread = np.broadcast_to(tensor.index, shape).ravel()[inverse]
            whole = self.shape(tensor.value) == inverse.shape and np.array_equal(spread.ravel(), np.arange(spread.size))
            value = tensor.value if whole else self.physical(tensor, compress(spread))
            if value not in values:
                values.append(value)
            args.append(Arg(values.index(value)))
        return args, values


def _placed_constant(array: Array, shape: tuple[int, ...], inverse: Array) -> Array:
    """A logical constant in physical order, float32, compressed to the axes along which it varies."""
    real = array.astype(np.float32)
    if real.size == 1:
        return real.reshape(1, 1, 1)
    return compress(np.broadcast_to(real, shape).ravel()[inverse])
