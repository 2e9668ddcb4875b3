"""`bnn2c ops`: what is supported, read from the code."""

from __future__ import annotations

import typer

from bnn2c.cli.console import print_json
from bnn2c.cli.guard import guard
from bnn2c.cli.parameters import Debug, Json

__all__ = ["ops"]

_WIDTH = 100


def ops(json: Json = False, debug: Debug = False) -> None:
    """List the supported ONNX operators and what they become."""
    with guard(debug=debug, json=json):
        from bnn2c.importer.handlers import supported_operators
        from bnn2c.ops import all_ops

        onnx = supported_operators()
        lowered = {kind: _first_line(op.__doc__) for kind, op in all_ops().items()}
        if json:
            print_json({"schema": 1, "onnx": onnx, "operations": [{"op": k, "what": w} for k, w in lowered.items()]})
        else:
            _print(onnx, lowered)


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]


def _print(onnx: list[str], lowered: dict[str, str]) -> None:
    from textwrap import fill

    typer.echo(f"{len(onnx)} ONNX operators:")
    typer.echo(fill(", ".join(onnx), _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False))
    typer.echo("\nconstant expressions of any ONNX operator are folded. The rest becomes these operations:")
    width = max(map(len, lowered))
    typer.echo("\n".join(f"  {kind:<{width}}  {what}" for kind, what in lowered.items()))
