"""What every family of kernels for binary convolutions says about a layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bnn2c.ir.types import TensorType
from bnn2c.kernels.shape import Array

if TYPE_CHECKING:
    from bnn2c.ops.binary_conv2d import BinaryConv2d


class Kernel(ABC):
    """One class per family; an instance is a layer, packed for it.

    Attributes:
        name: of the family.
        shape_member: path of the geometry in the parameter struct.
        header: runtime header.
        struct: C type of the parameters.
    """

    name: ClassVar[str]
    shape_member: ClassVar[str] = "shape"
    header: str
    struct: str

    @abstractmethod
    def __init__(self, op: BinaryConv2d, kind: TensorType) -> None:
        """Pack a layer that the family does not refuse, for inputs of a type."""

    @classmethod
    @abstractmethod
    def refuses(cls, op: BinaryConv2d, kind: TensorType, isa: Sequence[str] = ()) -> str | None:
        """Why the family cannot run the layer on a target with the features `isa`, or None."""

    @property
    @abstractmethod
    def pixel_function(self) -> str:
        """The C function of a single pixel, without its suffix."""

    @abstractmethod
    def constants(self) -> dict[str, Array]:
        """The arrays in flash, by name."""

    @abstractmethod
    def initializer(self, names: Mapping[str, str]) -> str:
        """C initialiser of the parameter struct; `names` maps the names of `constants` to C identifiers."""

    @abstractmethod
    def call(self, params: str, source: str, scratch: str, out: str, result: str) -> str:
        """The C statement; `result` is "bits", "i16" or "i32", the rest are C expressions (params: a pointer)."""

    @abstractmethod
    def scratch_bytes(self) -> int:
        """Working memory of the call."""

    def consumes_input(self) -> bool:
        """Whether the input is read before anything is written to the scratch, which may then lie on it."""
        return False
