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
        from bnn2c.importer.custom import custom_operators
        from bnn2c.importer.handlers import supported_operators
        from bnn2c.ops import all_ops

        onnx, custom = supported_operators(), custom_operators()
        lowered = {kind: _first_line(op.__doc__) for kind, op in all_ops().items()}
        if json:
            operations = [{"op": k, "what": w} for k, w in lowered.items()]
            print_json({"schema": 1, "onnx": onnx, "custom": custom, "operations": operations})
        else:
            _print({"ONNX operators": onnx, "operators of QONNX, Brevitas, FINN, ONNX Runtime": custom}, lowered)


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]


def _print(groups: dict[str, list[str]], lowered: dict[str, str]) -> None:
    from textwrap import fill

    for title, names in groups.items():
        typer.echo(f"{len(names)} {title}:")
        typer.echo(fill(", ".join(names), _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False))
    typer.echo("\nconstant expressions of any ONNX operator are folded. The rest becomes these operations:")
    width = max(map(len, lowered))
    typer.echo("\n".join(f"  {kind:<{width}}  {what}" for kind, what in lowered.items()))
