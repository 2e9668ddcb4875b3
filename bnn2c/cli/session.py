"""Compiling as commands do it: with progress, and with the warnings on stderr."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bnn2c.cli.console import print_diagnostics
from bnn2c.cli.progress import progress
from bnn2c.errors import Diagnostic

if TYPE_CHECKING:
    from bnn2c.api import CompiledModel
    from bnn2c.options import Options

__all__ = ["compile_with_progress"]


def compile_with_progress(model: Path, options: Options, *, quiet: bool) -> CompiledModel:
    """Compile, show progress when it takes longer than a second, and print the warnings.

    Raises:
        CompileError: when the model cannot be compiled.
    """
    with progress(quiet) as step:
        step(f"compiling {model.name}")
        from bnn2c.api import compile_with

        result = compile_with(model, options)
    if not quiet:
        warnings = result.compiled.report_data.get("warnings", [])
        print_diagnostics(one for one in warnings if isinstance(one, Diagnostic))
    return result
