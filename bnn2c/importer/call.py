"""One ONNX node during import: its operands, attributes and names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from bnn2c.errors import CompileError
from bnn2c.importer.limits import array_of
from bnn2c.importer.order import node_name
from bnn2c.importer.tensors import Array, Parts, Tensor, Value, View


@dataclass(frozen=True)
class Call:
    """An ONNX node with resolved operands; missing optional operands are None."""

    proto: onnx.NodeProto
    inputs: tuple[Value | None, ...]
    attrs: dict[str, Any]
    opset: int

    @property
    def op(self) -> str:
        """Operator name."""
        return self.proto.op_type

    @property
    def name(self) -> str:
        """The node's name, or its first output where the exporter gave none."""
        return node_name(self.proto)

    def operand(self, position: int) -> Tensor | None:
        """Operand number `position`, None when absent; refuses a sequence of tensors."""
        found = self.inputs[position] if position < len(self.inputs) else None
        if isinstance(found, Parts):
            raise self.refuse("BNN006", f"operand {position} of {self.op} is a sequence of tensors")
        return found

    @property
    def operands(self) -> tuple[Tensor | None, ...]:
        """All operands."""
        return tuple(self.operand(position) for position in range(len(self.inputs)))

    def parts(self, position: int) -> Parts:
        """An operand that is a sequence of tensors."""
        found = self.inputs[position]
        if not isinstance(found, Parts):
            raise self.refuse("BNN003", f"operand {position} of {self.op} is not a sequence of tensors")
        return found

    def tensor(self, position: int) -> Tensor:
        """A required operand."""
        found = self.operand(position)
        if found is None:
            raise self.refuse("BNN003", f"operand {position} of {self.op} is missing")
        return found

    def constant(self, position: int, why: str) -> Array | None:
        """A constant operand, None when absent; refuses a computed one."""
        found = self.operand(position)
        if isinstance(found, View):
            raise self.refuse("BNN006", f"operand {position} of {self.op} must be known at compile time: {why}")
        return found

    def numbers(self, attribute: str, position: int, default: list[int] | None = None) -> list[int] | None:
        """A list of integers given as attribute (old opsets) or constant operand (new ones)."""
        if attribute in self.attrs:
            return [int(v) for v in np.atleast_1d(self.attrs[attribute])]
        given = self.constant(position, attribute)
        return default if given is None else [int(v) for v in given.ravel()]

    def refuse(self, code: str, message: str, why: str = "", hint: str = "") -> CompileError:
        """A diagnostic about this node, to be raised."""
        shapes = ", ".join(str(list(t.shape)) for t in self.inputs if isinstance(t, View | np.ndarray))
        return CompileError.single(code, message, node=self.name, op=self.op, shapes=shapes, why=why, hint=hint)


def attributes(proto: onnx.NodeProto) -> dict[str, Any]:
    """Attribute values as Python objects; strings decoded, tensors as arrays, graphs as they are."""
    found: dict[str, Any] = {}
    for item in proto.attribute:
        try:
            value = onnx.helper.get_attribute_value(item)
        except ValueError as error:
            raise CompileError.single("BNN003", f"attribute {item.name}: {error}", node=proto.name) from error
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif isinstance(value, onnx.TensorProto):
            value = array_of(value)
        found[item.name] = value
    return found
