"""Arguments and options that several commands share."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bnn2c.errors import CompileError, Diagnostic

if TYPE_CHECKING:
    from bnn2c.options import Options

__all__ = [
    "Calibrate",
    "CalibrateBy",
    "CalibrateMethod",
    "Debug",
    "InputOffset",
    "InputScale",
    "Json",
    "MaxFlash",
    "MaxRam",
    "MinAgreement",
    "Model",
    "Name",
    "OptimizeFor",
    "OptimizeOption",
    "Quiet",
    "RealFormat",
    "RealOption",
    "Selftest",
    "SignZero",
    "SignZeroOption",
    "Stream",
    "StreamFrames",
    "TargetName",
    "make_options",
]


class OptimizeFor(str, Enum):
    """What to optimise for."""

    size = "size"
    balanced = "balanced"
    speed = "speed"


class SignZero(str, Enum):
    """What sign(0) meant in training."""

    plus = "+1"
    minus = "-1"


class RealFormat(str, Enum):
    """How real tensors are stored."""

    auto = "auto"
    float32 = "float32"
    int16 = "int16"
    int8 = "int8"


class CalibrateBy(str, Enum):
    """How the largest fixed-point number is chosen."""

    minmax = "minmax"
    percentile = "percentile"
    mse = "mse"


Model = Annotated[Path, typer.Argument(metavar="MODEL", help="The network, an .onnx file.", show_default=False)]
TargetName = Annotated[str, typer.Option("--target", "-t", help="Device family; `bnn2c targets` lists them.")]
Name = Annotated[
    str | None, typer.Option("--name", help="Prefix of all C names.", show_default="from the model's file name")
]
OptimizeOption = Annotated[
    OptimizeFor | None, typer.Option("--optimize", help="What to optimise for.", show_default="what suits the target")
]


def _number(text: str | float) -> float:
    """A number, also written as a fraction: 1/255."""
    if isinstance(text, float):
        return text
    above, slash, below = text.partition("/")
    try:
        return float(above) / float(below) if slash else float(text)
    except (ValueError, ZeroDivisionError) as error:
        raise typer.BadParameter(f"{text!r} is neither a number nor a fraction like 1/255") from error


InputScale = Annotated[
    float | None,
    typer.Option(
        "--input-scale",
        help="The firmware feeds uint8 q with real = scale * q + offset; 1/255 may be written so.",
        show_default=False,
        parser=_number,
        metavar="NUMBER",
    ),
]
InputOffset = Annotated[float, typer.Option("--input-offset", help="See --input-scale.")]
SignZeroOption = Annotated[
    SignZero | None,
    typer.Option("--sign-zero", help="What sign(0) meant in training; ONNX says 0.", show_default=False),
]
Selftest = Annotated[
    Path | None,
    typer.Option("--selftest", help=".npz file of vectors to turn into a known-answer test in C.", show_default=False),
]
Stream = Annotated[
    int | None,
    typer.Option(
        "--stream", help="Axis of the inputs that is time: the C takes one frame at a time.", show_default=False
    ),
]
StreamFrames = Annotated[int, typer.Option("--stream-frames", help="Frames that a step of --stream takes at a time.")]
State = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        help="Keep this output in the caller's memory as this input of the next step; may be repeated.",
        show_default=False,
        metavar="IN=OUT",
    ),
]
RealOption = Annotated[
    RealFormat | None,
    typer.Option("--real", help="Number format of real tensors.", show_default="auto: int16 without FPU, calibrated"),
]
Calibrate = Annotated[
    Path | None,
    typer.Option("--calibrate", help=".npz file of inputs that fixed-point scales are found with.", show_default=False),
]
CalibrateMethod = Annotated[
    CalibrateBy | None,
    typer.Option("--calibrate-method", help="How a scale follows from the values.", show_default="minmax"),
]
MinAgreement = Annotated[
    float | None,
    typer.Option("--min-agreement", help="Least part of answers that must be those of float32.", show_default=False),
]
MaxFlash = Annotated[
    str | None, typer.Option("--max-flash", show_default=False, metavar="BYTES", help="Flash on the device: 256K.")
]
MaxRam = Annotated[
    str | None,
    typer.Option("--max-ram", show_default=False, metavar="BYTES", help="RAM for arena, stack, input and output: 64K."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no warnings; errors only.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an internal error.")]


def _pair(text: str) -> tuple[str, str]:
    """The names of IN=OUT."""
    source, _, target = text.partition("=")
    return source, target


def make_options(
    *,
    target: str,
    optimize: OptimizeFor | None,
    input_scale: float | None,
    input_offset: float,
    sign_zero: SignZero | None,
    name: str | None = None,
    selftest: Path | None = None,
    integrity: bool = False,
    nms: bool = False,
    max_nodes: int | None = None,
    max_tensor_bytes: int | None = None,
    dump_ir: Path | None = None,
    stream: int | None = None,
    stream_frames: int = 1,
    state: list[str] | None = None,
    real: RealFormat | None = None,
    calibrate: Path | None = None,
    calibrate_method: CalibrateBy | None = None,
    min_agreement: float | None = None,
    max_flash: str | None = None,
    max_ram: str | None = None,
) -> Options:
    """The compiler's options from a command line.

    Raises:
        CompileError: when a value cannot be used.
    """
    from bnn2c.api import options_for
    from bnn2c.cli.sizes import parse_size

    limits = {"max_nodes": max_nodes, "max_tensor_bytes": max_tensor_bytes}
    if selftest is not None and not selftest.is_file():
        raise CompileError([Diagnostic("BNN001", f"--selftest {selftest} is not a file")])
    if calibrate is not None and not calibrate.is_file():
        raise CompileError([Diagnostic("BNN001", f"--calibrate {calibrate} is not a file")])
    return options_for(
        target,
        name=name,
        optimize=optimize.value if optimize else None,
        input_scale=input_scale,
        input_offset=input_offset,
        sign_zero=int(sign_zero.value) if sign_zero else None,
        selftest=selftest,
        integrity=integrity,
        nms=nms,
        **{key: value for key, value in limits.items() if value is not None},
        dump_ir=dump_ir,
        stream=stream,
        stream_frames=stream_frames,
        states=tuple(map(_pair, state or [])),
        real=real.value if real else None,
        calibrate=calibrate,
        calibrate_method=calibrate_method.value if calibrate_method else None,
        min_agreement=min_agreement,
        max_flash=parse_size(max_flash, "--max-flash"),
        max_ram=parse_size(max_ram, "--max-ram"),
    )
