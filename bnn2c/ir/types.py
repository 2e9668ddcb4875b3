"""Tensor types: a physical shape and how one element is stored."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

Shape = tuple[int, int, int]

ELEMENT_BYTES = {"f32": 4, "i32": 4, "i16": 2, "i8": 1, "u8": 1, "bits": 4}
C_TYPES = {"f32": "float", "i32": "int32_t", "i16": "int16_t", "i8": "int8_t", "u8": "uint8_t", "bits": "uint32_t"}
WORD_BITS = 32


@dataclass(frozen=True)
class TensorType:
    """The type of one IR value.

    Attributes:
        shape: physical shape [H, W, C], channels last; a vector is [1, 1, C] and a sequence [1, T, C].
        storage: `f32`, `i32`, `i16`, `i8`, `u8`, or `bits`: level codes of `planes` bits, packed per pixel into
            32-bit words,
            each plane starting on a word; code 0 is the largest value, so a +1/-1 tensor stores 0 for +1 and 1 for -1.
        planes: number of bit planes; 1 unless storage is `bits`.
        layout: of `bits`: `pixels` (words of 32 channels per pixel) or `planes` (words of 32 pixels per channel).
    """

    shape: Shape
    storage: str = "f32"
    planes: int = 1
    layout: str = "pixels"

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def words_per_pixel(self) -> int:
        """32-bit words of one pixel of one plane (storage `bits`)."""
        return -(-self.shape[2] // WORD_BITS)

    @property
    def nbytes(self) -> int:
        """Bytes in the arena."""
        if self.layout == "planes":
            return 4 * self.shape[2] * -(-self.shape[0] * self.shape[1] // WORD_BITS)
        if self.storage == "bits":
            return 4 * self.planes * self.words_per_pixel * self.shape[0] * self.shape[1]
        return self.element_bytes * self.size

    @property
    def element_bytes(self) -> int:
        """Bytes of one element of the C type; `bits` are words."""
        return ELEMENT_BYTES[self.storage]

    @property
    def c_type(self) -> str:
        """C element type."""
        return C_TYPES[self.storage]

    def __str__(self) -> str:
        storage = f"bits{self.planes}" if self.storage == "bits" else self.storage
        storage += "p" if self.layout == "planes" else ""
        return f"{storage}[{'x'.join(map(str, self.shape))}]"
