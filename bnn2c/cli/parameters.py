"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bnn2c.options import CALIBRATE_METHODS, DEFAULT_MAX_NODES, DEFAULT_MAX_TENSOR_BYTES, OPTIMIZE, REAL

__all__ = [
    "Calibrate",
    "CalibrateMethod",
    "Debug",
    "InputOffset",
    "InputScale",
    "Json",
    "MaxFlash",
    "MaxNodes",
    "MaxRam",
    "MaxTensorBytes",
    "MinAgreement",
    "Model",
    "Name",
    "OptimizeOption",
    "Quiet",
    "RealOption",
    "Selftest",
    "SignZeroOption",
    "Stream",
    "StreamFrames",
    "TargetName",
]


def _choice(option: str, values: Sequence[str], text: str, default: str | bool) -> Any:  # noqa: ANN401 - typer's type
    """An option whose values `bnn2c.options` knows and checks."""
    return typer.Option(option, help=text, show_default=default, metavar="|".join(values))


Model = Annotated[Path, typer.Argument(metavar="MODEL", help="The network, an .onnx file.", show_default=False)]
TargetName = Annotated[str, typer.Option("--target", "-t", help="Device family; `bnn2c targets` lists them.")]
Name = Annotated[
    str | None, typer.Option("--name", help="Prefix of all C names.", show_default="from the model's file name")
]
OptimizeOption = Annotated[
    str | None, _choice("--optimize", OPTIMIZE, "What to optimise for.", "what suits the target")
]


InputScale = Annotated[
    str | None,
    typer.Option(
        "--input-scale",
        help="The firmware feeds uint8 q with real = scale * q + offset; 1/255 may be written so.",
        show_default=False,
        metavar="NUMBER",
    ),
]
InputOffset = Annotated[
    str | None, typer.Option("--input-offset", help="See --input-scale.", show_default="0", metavar="NUMBER")
]
SignZeroOption = Annotated[
    str | None, _choice("--sign-zero", ("+1", "-1"), "What sign(0) meant in training; ONNX says 0.", False)
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
    str | None, _choice("--real", REAL, "Number format of real tensors.", "auto: int16 without FPU, calibrated")
]
Calibrate = Annotated[
    Path | None,
    typer.Option("--calibrate", help=".npz file of inputs that fixed-point scales are found with.", show_default=False),
]
CalibrateMethod = Annotated[
    str | None, _choice("--calibrate-method", CALIBRATE_METHODS, "How a scale follows from the values.", "minmax")
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
MaxNodes = Annotated[
    int | None, typer.Option("--max-nodes", help="Refuse larger graphs.", show_default=f"{DEFAULT_MAX_NODES}")
]
MaxTensorBytes = Annotated[
    int | None,
    typer.Option("--max-tensor-bytes", help="Refuse larger tensors.", show_default=f"{DEFAULT_MAX_TENSOR_BYTES}"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no warnings; errors only.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an internal error.")]
