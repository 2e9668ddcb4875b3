"""The base class of operations: shape and type rule, numpy reference, cost, constants for the C code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from bnn2c.ir.types import TensorType

Array = npt.NDArray[Any]


def rounded(found: Array, *inputs: Array) -> Array:
    """A result that was computed in float64: as float32, unless an input is float64."""
    return np.asarray(found, np.float64 if any(x.dtype == np.float64 for x in inputs) else np.float32)


@dataclass(frozen=True)
class Cost:
    """Work and constants of one operation: multiply-accumulates by kind and bytes of flash for its constants."""

    binary_macs: int = 0
    real_macs: int = 0
    weight_bytes: int = 0


class Op:
    """One operation; subclasses are frozen dataclasses, one per file of `bnn2c/ops`, found by file name."""

    CASES: ClassVar[tuple[Any, ...]] = ()

    @property
    def kind(self) -> str:
        """Snake-case name: the file of its template and of its runtime kernel."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """The output type for the given input types; raises ValueError when they do not fit."""
        raise NotImplementedError

    def reference(self, *inputs: Array) -> Array:
        """The obviously right numpy meaning, on arrays of the physical shape (bit tensors as level codes)."""
        raise NotImplementedError

    def cost(self, inputs: Sequence[TensorType]) -> Cost:
        """Work of one inference."""
        return Cost(weight_bytes=sum(a.nbytes for a in self.constants(inputs).values()))

    def constants(self, inputs: Sequence[TensorType]) -> dict[str, Array]:
        """Named constant arrays exactly as they lie in flash."""
        return {}

    def params(self, inputs: Sequence[TensorType]) -> dict[str, Any]:
        """What the template needs besides names, types and constants."""
        return {}

    def scratch_bytes(self, inputs: Sequence[TensorType]) -> int:
        """Arena bytes the kernel needs while it runs, besides its operands."""
        return 0

    @property
    def keeps_state(self) -> bool:
        """True when the scratch memory must outlive a call (streams)."""
        return False

    @property
    def waits(self) -> bool:
        """True when there are steps of a stream that give no result, so that nothing after it runs."""
        return False

    def stack_bytes(self, inputs: Sequence[TensorType]) -> int:
        """Upper bound of the stack that the kernel's calls use."""
        return 768

    def scratch_on_input(self, inputs: Sequence[TensorType]) -> bool:
        """True when the kernel's scratch may begin where its first input lies, if nothing reads that input later."""
        return False

    def overwrites(self, inputs: Sequence[TensorType]) -> tuple[int, ...]:
        """Numbers of the inputs whose memory the output may take: an element is read before that one is written."""
        return ()

    def headers(self, inputs: Sequence[TensorType]) -> tuple[str, ...]:
        """Runtime headers that the generated call needs."""
        return (f"bnn2c_{self.kind}.h",)

    def kernel(self, inputs: Sequence[TensorType]) -> str:
        """Name of the chosen kernel, for the report."""
        return self.kind

    def describe(self) -> str:
        """Attributes for the text form of the IR, without bulk arrays."""
        parts = []
        for key, value in vars(self).items():
            if key.startswith("_"):
                continue
            text = f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else str(value)
            parts.append(f"{key}={text[:80]}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Pace:
    """The frames of a value in steps of a stream that are all alike.

    Attributes:
        frames: in a step.
        late: frames that come before the first one of the stream.
    """

    frames: int
    late: int

    @property
    def first(self) -> str:
        """C text: the number of the step's first frame that exists, below 0 from the second step on."""
        return f"{self.late or ''} - ({self.frames} * steps)".lstrip()


class StreamStep(Op):
    """An operation of a stream that remembers something of the frames before; its memory outlives a call."""

    def reference(self, *inputs: Array) -> Array:
        """None: the window as a whole is the reference of a stream (`Compiled.final`).

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("a stream is compared with the network over the whole window")

    @property
    def keeps_state(self) -> bool:
        """Always."""
        return True
