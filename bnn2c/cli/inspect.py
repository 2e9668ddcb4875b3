"""`bnn2c inspect`: the lowered network as a table, and why each layer has its form."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bnn2c.cli.console import print_json, print_table
from bnn2c.cli.guard import guard
from bnn2c.cli.network_options import NetworkOptions, with_network_options
from bnn2c.cli.parameters import Debug, Json, Model, Quiet, TargetName

__all__ = ["inspect"]


@with_network_options
def inspect(
    model: Model,
    why: Annotated[bool, typer.Option("--why", help="Show the chain of facts that led to each layer's form.")] = False,
    target: TargetName = "portable",
    *,
    network: NetworkOptions,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show the lowered network, and why a layer is not binary."""
    with guard(debug=debug, json=json):
        from bnn2c.cli.session import compile_with_progress

        options = network.options(target)
        data = compile_with_progress(model, options, quiet=quiet).report.data
        if json:
            print_json({"schema": 1, "model": str(model), **_chosen(data)})
        else:
            _print_layers(data, why)


def _chosen(data: dict[str, Any]) -> dict[str, Any]:
    keys = ("target", "inputs", "outputs", "layers", "totals", "warnings")
    return {**{key: data[key] for key in keys if key in data}, **data["totals"]}


def _print_layers(data: dict[str, Any], why: bool) -> None:
    from bnn2c.report.text import LAYER_HEADER, layer_rows, total_row

    print_table(LAYER_HEADER, [*layer_rows(data), total_row(data)], right=("#", *LAYER_HEADER[5:]))
    for layer in data["layers"]:
        if layer["kernels"]:
            typer.echo("\n".join(_kernels(layer)))
    for layer in data["layers"] if why else ():
        typer.echo("\n".join(_why(layer)))


def _kernels(layer: dict[str, Any]) -> list[str]:
    """The kernel families of a binary layer, the chosen one first."""
    rows = sorted(layer["kernels"], key=lambda row: not row["chosen"])
    return [f"{layer['name']}: kernels, predicted", *map(_kernel, rows), ""]


def _kernel(row: dict[str, Any]) -> str:
    cost = f"{row['instructions']:>13,} instructions {row['flash_bytes']:>9,} B" if row["instructions"] else ""
    return f"  {'*' if row['chosen'] else ' '} {row['kernel']:<16}{cost or row['refused'] or 'no prediction'}"


def _why(layer: dict[str, Any]) -> list[str]:
    nodes = ", ".join(layer.get("onnx_nodes", []))
    head = f"{layer['name']} ({layer['op']})" + (f" from {nodes}" if nodes else "")
    return [head, *(f"  - {fact}" for fact in layer["why"]), ""]
