"""Tensors of a manifest as numpy arrays, as C struct members and as bytes."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnn2c.errors import plural

__all__ = ["Array", "Member", "from_bytes", "members", "sample_bytes", "struct_type"]

Array = NDArray[Any]

_C_TYPES: dict[str, type[Any]] = {
    "float32": ctypes.c_float,
    "uint8": ctypes.c_uint8,
    "int8": ctypes.c_int8,
    "int16": ctypes.c_int16,
    "int32": ctypes.c_int32,
    "bool": ctypes.c_uint8,
}


@dataclass(frozen=True)
class Member:
    """One array member of the model's input or output struct; fields as in the manifest."""

    c_name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size of the member; a bool takes one byte, as in numpy."""
        return self.count * np.dtype(self.dtype).itemsize

    def array(self, value: object) -> Array:
        """`value` in this member's type and shape.

        Raises:
            ValueError: when its kind (float, integer, ...) or its number of elements does not match.
        """
        given = np.asarray(value)
        if given.size != self.count or not np.can_cast(given.dtype, self.dtype, "same_kind"):
            raise ValueError(
                f"{self.c_name} is {self.dtype} of shape {list(self.shape)}, given {given.dtype} {list(given.shape)}"
            )
        return np.ascontiguousarray(given, dtype=self.dtype).reshape(self.shape)


def members(tensors: Sequence[dict[str, Any]]) -> list[Member]:
    """The members that `manifest["inputs"]` or `manifest["outputs"]` describes, in the order of the C struct.

    Raises:
        ValueError: for an element type that generated C does not use.
    """
    for tensor in tensors:
        if tensor["dtype"] not in _C_TYPES:
            raise ValueError(f"{tensor['c_name']}: element type {tensor['dtype']} is not one of {', '.join(_C_TYPES)}")
    return [Member(tensor["c_name"], tensor["dtype"], tuple(tensor["shape"])) for tensor in tensors]


def struct_type(fields: Sequence[Member]) -> type[ctypes.Structure]:
    """The C struct with these array members."""
    layout = [(field.c_name, _C_TYPES[field.dtype] * field.count) for field in fields]
    return type("Struct", (ctypes.Structure,), {"_fields_": layout})


def sample_bytes(fields: Sequence[Member], values: Sequence[object], order: str = sys.byteorder) -> bytes:
    """The values of all members, one after the other, in that byte order ("little" or "big") and without padding.

    Raises:
        ValueError: when the number of values, a type or a size does not match.
    """
    if len(values) != len(fields):
        raise ValueError(f"the model has {plural(len(fields), 'input')}, given {len(values)}")
    arrays = [field.array(value) for field, value in zip(fields, values, strict=True)]
    return b"".join(array.astype(_in_order(array.dtype, order)).tobytes() for array in arrays)


def _in_order(kind: np.dtype[Any], order: str) -> np.dtype[Any]:
    return kind.newbyteorder("<" if order == "little" else ">")


def from_bytes(fields: Sequence[Member], data: bytes, order: str = sys.byteorder) -> list[Array]:
    """The inverse of `sample_bytes`; the arrays own their memory."""
    arrays, start = [], 0
    for field in fields:
        stored = _in_order(np.dtype(field.dtype), order)
        flat = np.frombuffer(data, dtype=stored, count=field.count, offset=start)
        arrays.append(flat.reshape(field.shape).astype(field.dtype))
        start += field.bytes
    return arrays
