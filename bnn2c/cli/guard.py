"""Turns exceptions of a command into diagnostics and exit codes: a user never sees a traceback unasked."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer

from bnn2c.cli.console import print_diagnostics, print_json
from bnn2c.cli.exit_codes import INTERRUPTED, exit_code
from bnn2c.errors import CompileError, Diagnostic

__all__ = ["guard", "tell"]


@contextmanager
def guard(*, debug: bool = False, json: bool = False) -> Iterator[None]:
    """Run a command's body.

    Args:
        debug: print the traceback of an unexpected exception.
        json: also print the errors as JSON on stdout: ``{"schema": 1, "diagnostics": [...]}``.

    Raises:
        typer.Exit: with the exit code, for any exception of the body.
    """
    try:
        yield
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        raise
    except CompileError as error:
        raise typer.Exit(tell(error.diagnostics, json)) from None
    except MemoryError:
        problem = Diagnostic("BNN009", "this machine has too little memory for the model")
        raise typer.Exit(tell([problem], json)) from None
    except Exception as error:
        if debug:
            _print_traceback()
        raise typer.Exit(tell([_toolchain_problem(error) or _internal(error)], json)) from None


def tell(errors: Sequence[Diagnostic], json: bool) -> int:
    """Print errors on stderr, and as JSON on stdout where that is asked for; the exit code."""
    print_diagnostics(errors)
    if json:
        print_json({"schema": 1, "diagnostics": [one.as_dict() for one in errors]})
    return exit_code(errors)


def _print_traceback() -> None:
    import traceback

    sys.stderr.write(traceback.format_exc())


def _internal(error: Exception) -> Diagnostic:
    message = f"internal error: {type(error).__name__}: {error}"
    hint = "please report it with the model and the output of the same command with --debug"
    return Diagnostic("BNN030", message, hint=hint)


def _toolchain_problem(error: Exception) -> Diagnostic | None:
    """The diagnostic of a toolchain's exception, None for any other."""
    from bnn2c.toolchain import DoesNotFit, ToolchainError, ToolchainMissing

    codes = {ToolchainMissing: "BNN021", DoesNotFit: "BNN020", ToolchainError: "BNN025"}
    code = next((code for kind, code in codes.items() if isinstance(error, kind)), None)
    message, _, details = str(error).partition("\n")
    return Diagnostic(code, message, why=details) if code else None
