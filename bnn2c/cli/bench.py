"""`bnn2c bench`: executed instructions per layer and in total, sizes, and estimated cycles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bnn2c.cli.console import print_diagnostics, print_json, print_table
from bnn2c.cli.exit_codes import TOOL_MISSING
from bnn2c.cli.guard import guard
from bnn2c.cli.network_options import NetworkOptions, with_network_options
from bnn2c.cli.parameters import Debug, Json, Model, Quiet
from bnn2c.errors import CompileError, Diagnostic
from bnn2c.options import OPTIMIZE

if TYPE_CHECKING:
    from bnn2c.options import Options

__all__ = ["bench"]

_HEADER = ("#", "layer", "kernel", "binary MACs", "instructions", "i32", "predicted", "cycles (estimate)")
_SIZES = ("flash", "code", "constants", "arena", "stack")


@with_network_options
def bench(
    model: Model,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help="Targets: names separated by commas, or all.", show_default="cortex-m4"),
    ] = None,
    optimize: Annotated[str, typer.Option("--optimize", help="size, balanced, speed, or all.")] = "speed",
    compiler: Annotated[str | None, typer.Option(help="Compiler instead of the target's own, such as clang.")] = None,
    opt: Annotated[str | None, typer.Option(help="Its optimisation flag, such as -O2.")] = None,
    *,
    network: NetworkOptions,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Count instructions per layer under QEMU, and measure flash, arena and stack.

    With --stream the longest of the steps is counted, when the window is full. Counts are exact and the same on every
    run; i32 is instructions per 32 binary multiply-accumulates. Cycles are an estimate: instructions times an average
    of the core (docs/kernels.md). Nothing is counted on native targets.
    """
    with guard(debug=debug, json=json):
        from bnn2c.cli.verify_targets import chosen_targets

        jobs = [
            network.options(name, optimize=how)
            for name in chosen_targets(target or ["cortex-m4"])
            for how in _levels(optimize)
        ]
        results, missing = _measure(model, jobs, {"compiler": compiler, "opt": opt}, quiet)
        if json:
            print_json({"schema": 1, "model": str(model), "results": results})
        else:
            _print(results)
        print_diagnostics(missing)
        if missing:
            raise typer.Exit(TOOL_MISSING)


def _levels(optimize: str) -> Sequence[str]:
    """The `--optimize` settings that are asked for."""
    names = OPTIMIZE if optimize == "all" else tuple(optimize.split(","))
    if unknown := [name for name in names if name not in OPTIMIZE]:
        raise CompileError.single("BNN019", f"--optimize {unknown[0]!r} is not one of {', '.join(OPTIMIZE)}, all")
    return names


def _measure(
    model: Path, jobs: list[Options], build: dict[str, str | None], quiet: bool
) -> tuple[list[dict[str, Any]], list[Diagnostic]]:
    from bnn2c.bench import bench_model
    from bnn2c.cli.progress import progress
    from bnn2c.pipeline import compile_model
    from bnn2c.toolchain import ToolchainMissing

    results, missing = [], []
    with progress(quiet) as step:
        for options in jobs:
            step(f"{options.target}, {options.optimize}: counting")
            try:
                results.append(bench_model(compile_model(model, options), **build))
            except ToolchainMissing as error:
                missing.append(Diagnostic("BNN021", str(error)))
    return results, missing


def _print(results: list[dict[str, Any]]) -> None:
    for result in results:
        typer.echo(f"{result['target']}, --optimize {result['optimize']} ({result['compiler']} {result['flag']})")
        name = "longest step" if "instructions_per_frame" in result else "total"
        total = {"index": "", "name": name, "kernel": "", "predicted_instructions": None, **result}
        total["binary_macs"] = sum(layer["binary_macs"] for layer in result["layers"])
        print_table(_HEADER, map(_row, [*result["layers"], total]), right=("#", *_HEADER[3:]))
        typer.echo("  ".join(f"{name} {result[key]:,} B" for name, key in zip(_SIZES, _size_keys(), strict=True)))
        if result.get("instructions_per_frame") is not None:
            full, filling = result["instructions_per_frame"], result["instructions_per_frame_filling"]
            typer.echo(f"a frame takes {full:,} instructions, and {filling:,} in the first window (means)")
        if result["constant_time"] is False:
            typer.echo("the count depends on the input")
        typer.echo()


def _size_keys() -> list[str]:
    return [f"{name.removesuffix('s') if name == 'constants' else name}_bytes" for name in _SIZES]


def _row(layer: dict[str, Any]) -> list[str]:
    keys = ("binary_macs", "instructions", "i32", "predicted_instructions", "cycles_estimate")
    return [str(layer["index"]), layer["name"], layer["kernel"], *(_cell(layer[key]) for key in keys)]


def _cell(value: float | None) -> str:
    if not value:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"
