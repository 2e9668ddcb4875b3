"""The command line application: which commands there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from bnn2c.cli.bench import bench
from bnn2c.cli.check import check
from bnn2c.cli.compile import compile_command
from bnn2c.cli.exit_codes import EPILOG
from bnn2c.cli.explain import explain
from bnn2c.cli.inspect import inspect
from bnn2c.cli.ops import ops
from bnn2c.cli.targets import targets
from bnn2c.cli.verify import verify

__all__ = ["app"]

app = typer.Typer(
    name="bnn2c",
    help="Compiles binary neural networks in ONNX to portable, bit-exact C99 for microcontrollers.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich takes twice as long to lay out a help page as everything else together
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from bnn2c import __version__

        typer.echo(f"bnn2c {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that come before the command."""


_COMMANDS: dict[str, Callable[..., None]] = {
    "compile": compile_command,
    "verify": verify,
    "check": check,
    "inspect": inspect,
    "bench": bench,
    "targets": targets,
    "ops": ops,
    "explain": explain,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, epilog=EPILOG)(_command)
