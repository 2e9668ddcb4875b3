"""`bnn2c verify`: the C, executed, against the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bnn2c.cli.console import print_diagnostics, print_json, print_table
from bnn2c.cli.exit_codes import MISMATCH, TOOL_MISSING
from bnn2c.cli.guard import guard
from bnn2c.cli.network_options import NetworkOptions, with_network_options
from bnn2c.cli.parameters import Debug, Json, MinAgreement, Model, Quiet
from bnn2c.errors import plural

__all__ = ["verify"]


@with_network_options
def verify(
    model: Model,
    on: Annotated[
        list[str] | None,
        typer.Option(
            "--on", "--target", "-t", help="Targets to run on: names separated by commas, or all.", show_default="host"
        ),
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option("--vectors", help=".npz file of inputs, and optionally outputs.", show_default=False)
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Number of random inputs without --vectors.")] = 50,
    min_agreement: MinAgreement = None,
    *,
    network: NetworkOptions,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run the generated C and compare it with the ONNX reference.

    The C is built, and run on this machine or under QEMU. Exit code 0 only when no sample differs on any target; 1 when
    one does; 4 when a target's tools are missing.
    """
    with guard(debug=debug, json=json):
        from bnn2c.cli.verify_targets import chosen_targets, verify_on

        options = {
            target: network.options(target, min_agreement=min_agreement) for target in chosen_targets(on or ["host"])
        }
        outcome = verify_on(model, list(options.values()), vectors, samples, quiet=quiet)
        if json:
            print_json(outcome.data)
        else:
            _print(outcome.data)
        print_diagnostics(outcome.missing)
        _exit(outcome.data["results"], missing=bool(outcome.missing))


def _exit(results: list[dict[str, Any]], missing: bool) -> None:
    if any(map(_failed, results)):
        raise typer.Exit(MISMATCH)
    if missing:
        raise typer.Exit(TOOL_MISSING)


def _failed(result: dict[str, Any]) -> bool:
    """Whether a sample differs, or fixed point agrees on fewer samples than --min-agreement asks for."""
    return bool(result["mismatches"]) or not result.get("agrees", True)


_HEADER = ("target", "samples", "mismatches", "rounding", "max error", "instructions", "flash", "arena", "stack", "")
_LISTED = 5
_COUNTS = (
    "samples",
    "mismatches",
    "rounding",
    "max_abs_error",
    "instructions",
    "flash_bytes",
    "arena_bytes",
    "stack_bytes",
)


def _print(data: dict[str, Any]) -> None:
    if data["results"]:
        print_table(_HEADER, map(_row, data["results"]), right=_HEADER[1:-1])
    for result in data["results"]:
        if "agreement" in result:
            typer.echo(f"{result['target']}: fixed point agrees with the reference on {result['agreement']:.2%}")
        if result["first_difference"]:
            typer.echo(f"{result['target']}: first difference: {_finding(result['first_difference'])}")
        for rounding in result["rounding_samples"][:_LISTED]:
            typer.echo(f"{result['target']}: decided by rounding: {_finding(rounding)}")
        if (more := result["rounding"] - _LISTED) > 0:
            typer.echo(f"{result['target']}: and {plural(more, 'more sample')}; --json lists all")


def _finding(found: dict[str, Any]) -> str:
    """What a sample that differs is said to be."""
    where = f" at {found['tensor']}" if found["tensor"] else ""
    numbers = "" if found["got"] is None else f": {found['got']:.9g} instead of {found['reference']:.9g}"
    return f"sample {found['sample']}{where}{numbers} ({found['stage']})"


def _row(result: dict[str, Any]) -> list[str]:
    return [result["target"], *(_cell(result.get(key)) for key in _COUNTS), "FAIL" if _failed(result) else "ok"]


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
