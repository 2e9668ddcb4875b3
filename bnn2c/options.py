"""The options of one compilation, validated where they are made."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bnn2c.errors import CompileError, Diagnostic

__all__ = [
    "CALIBRATE_METHODS",
    "DEFAULT_MAX_NODES",
    "DEFAULT_MAX_TENSOR_BYTES",
    "OPTIMIZE",
    "REAL",
    "Optimize",
    "Options",
    "Real",
]

Optimize = Literal["size", "balanced", "speed"]
OPTIMIZE: tuple[Optimize, ...] = ("size", "balanced", "speed")
Real = Literal["auto", "float32", "int16", "int8"]
REAL: tuple[Real, ...] = ("auto", "float32", "int16", "int8")
CALIBRATE_METHODS = ("minmax", "percentile", "mse")

DEFAULT_MAX_TENSOR_BYTES = 256 * 1024 * 1024
DEFAULT_MAX_NODES = 20_000

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}", re.ASCII)
_KEYWORD_TEXT = """
    alignas alignof and asm auto bitand bitor bool break case catch char class compl concept const constexpr
    continue decltype default delete do double else enum explicit export extern false float for friend goto if
    inline int long main mutable namespace new noexcept not nullptr operator or private protected public register
    requires restrict return short signed sizeof static struct switch template this throw true try typedef typeid
    typename union unsigned using virtual void volatile while xor
"""
KEYWORDS = frozenset(_KEYWORD_TEXT.split())


@dataclass(frozen=True)
class Options:
    """How a model is to be compiled.

    Attributes:
        target: name of a file of targets/ (`bnn2c targets`).
        name: prefix of all C names; None derives it from the model's file name.
        optimize: `size` shares one out-of-line kernel among layers, `speed` specialises kernels per layer,
            `balanced` specialises only the layers that take most of the time.
        input_scale: the firmware feeds uint8 q with real = input_scale * q + input_offset; None: what the graph takes.
        input_offset: see input_scale.
        selftest: .npz file whose vectors become known-answer tests in C; None writes none.
        sign_zero: what sign(0) meant in training, +1 or -1; None keeps the ONNX value 0.
        real: number format of real tensors: `float32`, fixed point `int16` or `int8`, or `auto`: int16 on a target
            without FPU when there are calibration vectors, else float32.
        calibrate: .npz file of inputs from which the scales of fixed-point tensors are found.
        min_agreement: `check` and `verify` fail when fixed point agrees with the reference on fewer of the samples.
        calibrate_method: `minmax`, `percentile` (99.99 % of all values) or `mse` (least squared error).
        stream: axis of the inputs that is time: the code takes one frame at a time; None takes the whole window.
        stream_frames: frames that a step of a stream takes at a time.
        states: pairs of an input and an output; a step keeps the output, in memory of the caller, as the next input.
        dump_ir: folder for the text form of the graph after each pass; None writes none.
        max_flash: bytes of flash on the device; kernels are chosen so that the network fits, where it can.
        max_ram: bytes of RAM for arena, stack, input and output; see max_flash.
        integrity: add `<name>_check`, which finds damaged weights by their CRC-32.
        nms: write bnn2c_nms.h, non-maximum suppression of the network's boxes, beside the generated code.
        max_tensor_bytes: a larger tensor is refused (BNN009).
        max_nodes: a graph with more nodes, functions inlined and loops unrolled, is refused (BNN009).
    """

    target: str = "portable"
    name: str | None = None
    optimize: Optimize = "balanced"
    input_scale: float | None = None
    input_offset: float = 0.0
    selftest: Path | None = None
    sign_zero: int | None = None
    stream: int | None = None
    stream_frames: int = 1
    states: tuple[tuple[str, str], ...] = ()
    real: Real = "auto"
    calibrate: Path | None = None
    calibrate_method: str = "minmax"
    min_agreement: float | None = None
    dump_ir: Path | None = None
    max_flash: int | None = None
    max_ram: int | None = None
    integrity: bool = False
    nms: bool = False
    max_tensor_bytes: int = DEFAULT_MAX_TENSOR_BYTES
    max_nodes: int = DEFAULT_MAX_NODES

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            CompileError: with one diagnostic per value that cannot be used (BNN018, BNN019).
        """
        problems = [*self._name_problems(), *self._input_problems(), *self._choice_problems()]
        if problems:
            raise CompileError(problems)

    def _name_problems(self) -> Iterator[Diagnostic]:
        if self.name is None:
            return
        hint = "use a C identifier of at most 40 ASCII characters, such as --name kws"
        if not _IDENTIFIER.fullmatch(self.name):
            yield Diagnostic("BNN019", f"--name {self.name!r} is not a C identifier", hint=hint)
        elif self.name.lower() in KEYWORDS:
            yield Diagnostic("BNN019", f"--name {self.name!r} is a word of C or C++", hint=hint)
        elif self.name.lower().startswith("bnn2c"):
            yield Diagnostic("BNN019", f"--name {self.name!r}: names with bnn2c belong to the runtime", hint=hint)

    def _input_problems(self) -> Iterator[Diagnostic]:
        scale, offset = self.input_scale, self.input_offset
        if scale is not None and (not math.isfinite(scale) or scale == 0):
            yield Diagnostic("BNN018", f"--input-scale {scale} must be finite and not zero", hint="for example 1/255")
        if not math.isfinite(offset):
            yield Diagnostic("BNN018", f"--input-offset {offset} must be finite")
        if scale is None and offset != 0:
            hint = "give --input-scale too: real = scale * q + offset"
            yield Diagnostic("BNN018", "--input-offset has no meaning without --input-scale", hint=hint)

    def _choice_problems(self) -> Iterator[Diagnostic]:
        if self.optimize not in OPTIMIZE:
            yield Diagnostic("BNN019", f"--optimize {self.optimize!r} is not one of {', '.join(OPTIMIZE)}")
        if self.real not in REAL:
            yield Diagnostic("BNN019", f"--real {self.real!r} is not one of {', '.join(REAL)}")
        if self.min_agreement is not None and not 0 <= self.min_agreement <= 1:
            yield Diagnostic("BNN019", f"--min-agreement {self.min_agreement} is not between 0 and 1")
        if self.calibrate_method not in CALIBRATE_METHODS:
            known = ", ".join(CALIBRATE_METHODS)
            yield Diagnostic("BNN019", f"--calibrate-method {self.calibrate_method!r} is not one of {known}")
        if self.sign_zero not in (None, 1, -1):
            yield Diagnostic("BNN019", f"--sign-zero {self.sign_zero} is neither +1 nor -1")
        if self.states and self.stream is not None:
            hint = "compile what is over time with --stream, and one step of what has the state, with --state"
            yield Diagnostic("BNN019", "--state and --stream exclude each other", hint=hint)
        if self.stream_frames != 1 and self.stream is None:
            yield Diagnostic("BNN019", "--stream-frames has no meaning without --stream", hint="name the axis of time")
        for option in ("max_tensor_bytes", "max_nodes", "stream_frames"):
            if getattr(self, option) <= 0:
                yield Diagnostic("BNN019", f"{option} must be positive")
