"""`bnn2c compile`: ONNX in, a folder of C out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bnn2c.cli.console import print_json
from bnn2c.cli.guard import guard
from bnn2c.cli.parameters import (
    Calibrate,
    CalibrateMethod,
    Debug,
    InputOffset,
    InputScale,
    Json,
    MaxFlash,
    MaxRam,
    Model,
    Name,
    OptimizeOption,
    Quiet,
    RealOption,
    Selftest,
    SignZeroOption,
    State,
    Stream,
    StreamFrames,
    TargetName,
    make_options,
)
from bnn2c.options import DEFAULT_MAX_NODES, DEFAULT_MAX_TENSOR_BYTES

__all__ = ["compile_command"]

_Output = Annotated[Path, typer.Option("-o", "--output", help="Folder for the generated files.")]
_DumpIr = Annotated[
    Path | None,
    typer.Option("--dump-ir", help="Folder for the text of the graph after each pass.", show_default=False),
]
_Integrity = Annotated[
    bool, typer.Option("--integrity", help="Add NAME_check(), which finds damaged weights by their CRC-32.")
]
_Nms = Annotated[bool, typer.Option("--nms", help="Add bnn2c_nms.h, non-maximum suppression of the network's boxes.")]
_MaxNodes = Annotated[
    int | None, typer.Option("--max-nodes", help="Refuse larger graphs.", show_default=f"{DEFAULT_MAX_NODES}")
]
_MaxTensorBytes = Annotated[
    int | None,
    typer.Option("--max-tensor-bytes", help="Refuse larger tensors.", show_default=f"{DEFAULT_MAX_TENSOR_BYTES}"),
]


def compile_command(
    model: Model,
    target: TargetName = "portable",
    output: _Output = Path("gen"),
    name: Name = None,
    optimize: OptimizeOption = None,
    max_flash: MaxFlash = None,
    max_ram: MaxRam = None,
    input_scale: InputScale = None,
    input_offset: InputOffset = 0.0,
    sign_zero: SignZeroOption = None,
    real: RealOption = None,
    calibrate: Calibrate = None,
    calibrate_method: CalibrateMethod = None,
    stream: Stream = None,
    stream_frames: StreamFrames = 1,
    state: State = None,
    selftest: Selftest = None,
    dump_ir: _DumpIr = None,
    integrity: _Integrity = False,
    nms: _Nms = False,
    max_nodes: _MaxNodes = None,
    max_tensor_bytes: _MaxTensorBytes = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compile a network to C: the C files, manifest.json and a report.

    Nothing is written unless everything is: files are made beside the folder and moved when complete.
    """
    with guard(debug=debug, json=json):
        from bnn2c.cli.session import compile_with_progress
        from bnn2c.cli.verdict import exit_if_too_big

        options = make_options(
            target=target,
            name=name,
            optimize=optimize,
            max_flash=max_flash,
            max_ram=max_ram,
            input_scale=input_scale,
            input_offset=input_offset,
            sign_zero=sign_zero,
            real=real,
            calibrate=calibrate,
            calibrate_method=calibrate_method,
            selftest=selftest,
            integrity=integrity,
            nms=nms,
            max_nodes=max_nodes,
            max_tensor_bytes=max_tensor_bytes,
            dump_ir=dump_ir,
            stream=stream,
            stream_frames=stream_frames,
            state=state,
        )
        result = compile_with_progress(model, options, quiet=quiet)
        exit_if_too_big(result.report)
        result.write(output)
        if json:
            print_json({"schema": 1, "model": str(model), "output": str(output), "report": result.report.data})
        elif not quiet:
            _summary(result.report.data, output, list(result.files))


def _summary(data: dict[str, object], output: Path, files: list[str]) -> None:
    """Two lines: what it needs and where it is."""
    verdict = data["verdict"]
    assert isinstance(verdict, dict)
    typer.echo(f"{verdict['text']} Facts per layer: {output / 'report.txt'}, {output / 'report.html'}")
    sources = " ".join(sorted(file for file in files if file.endswith(".c")))
    typer.echo(f"Wrote {len(files)} C files to {output}. Add to your build: {sources}")
