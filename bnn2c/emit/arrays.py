"""Constant arrays as C source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn2c.expr.c_code import c_float

Array = npt.NDArray[Any]
C_TYPES = {
    "bool": "uint8_t", "uint8": "uint8_t", "int8": "int8_t", "uint16": "uint16_t", "int16": "int16_t",
    "uint32": "uint32_t", "int32": "int32_t", "float32": "float",
}  # fmt: skip
PER_LINE = {1: 20, 2: 14, 4: 8}
LITERALS: dict[str, Callable[[Any], str]] = {
    "float32": c_float,
    "uint32": "0x{:08X}u".format,
    "uint16": "{}u".format,
    "uint8": "{}u".format,
    "int32": lambda value: str(value) if value > -(2**31) else "(-2147483647 - 1)",
}


@dataclass(frozen=True)
class CArray:
    """A named constant array; `about` says to a reader what it is."""

    name: str
    data: Array
    about: str = ""

    @property
    def c_type(self) -> str:
        """C element type."""
        return C_TYPES[self.data.dtype.name]

    @property
    def count(self) -> int:
        """Number of elements; C has no empty arrays."""
        return max(1, int(self.data.size))

    @property
    def special(self) -> bool:
        """True when some element is infinite or not a number."""
        return self.data.dtype.kind == "f" and not bool(np.isfinite(self.data).all())

    def body(self) -> str:
        """The initialiser, a fixed number of elements a line."""
        flat = self.data.ravel() if self.data.size else np.zeros(1, self.data.dtype)
        words = list(map(LITERALS.get(self.data.dtype.name, str), flat.tolist()))
        width = PER_LINE[self.data.dtype.itemsize]
        return ",\n".join("  " + ", ".join(words[i : i + width]) for i in range(0, len(words), width))


@dataclass
class ArrayPool:
    """All constants of a model; equal arrays are stored once. `nbytes` are their bytes of flash."""

    arrays: list[CArray] = field(default_factory=list)
    nbytes: int = 0
    _seen: dict[tuple[str, bytes], str] = field(default_factory=dict)

    def add(self, name: str, data: Array, about: str) -> str:
        """Name of the array that holds `data`; `about` is kept of the first of equal arrays."""
        key = (data.dtype.name, np.ascontiguousarray(data).tobytes())
        if key not in self._seen:
            self._seen[key] = name
            shape = "x".join(map(str, data.shape)) or "1"
            self.arrays.append(CArray(name, np.ascontiguousarray(data), f"{about}, {shape}"))
            self.nbytes += data.nbytes
        return self._seen[key]
