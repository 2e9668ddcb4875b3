"""`bnn2c compile`: ONNX in, a folder of C out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bnn2c.cli.console import print_json
from bnn2c.cli.guard import guard
from bnn2c.cli.network_options import NetworkOptions, with_network_options
from bnn2c.cli.parameters import Debug, Json, Model, Name, Quiet, Selftest, TargetName

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


@with_network_options
def compile_command(
    model: Model,
    target: TargetName = "portable",
    output: _Output = Path("gen"),
    name: Name = None,
    selftest: Selftest = None,
    dump_ir: _DumpIr = None,
    integrity: _Integrity = False,
    nms: _Nms = False,
    *,
    network: NetworkOptions,
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

        options = network.options(target, name=name, selftest=selftest, integrity=integrity, nms=nms, dump_ir=dump_ir)
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
