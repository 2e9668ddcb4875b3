"""The command line application: which commands there are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bnn2c.cli.bench import bench
from bnn2c.cli.check import check
from bnn2c.cli.compile import compile_command
from bnn2c.cli.exit_codes import EPILOG
from bnn2c.cli.explain import explain
from bnn2c.cli.guard import tell
from bnn2c.cli.inspect import inspect
from bnn2c.cli.ops import ops
from bnn2c.cli.targets import targets
from bnn2c.cli.verify import verify
from bnn2c.errors import Diagnostic

__all__ = ["app"]

# The exception of a wrong command line; typer names only those that derive from it.
_UsageError: type[Any] = typer.BadParameter.__bases__[0]


class _Commands(TyperGroup):
    """The commands; a wrong command line is a diagnostic like any other error."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **named: Any) -> Any:  # noqa: ANN401 - as the base
        """Run, and exit with an exit code."""
        given = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(given, *more, **{**named, "standalone_mode": False})
        except _UsageError as error:
            code = _tell(error, given)
        sys.exit(code)


def _tell(error: Any, given: Sequence[str]) -> int:  # noqa: ANN401 - see _UsageError
    """Say what is wrong with the command line, or what there is when it is empty; the exit code."""
    if not given:
        error.show()
        return int(error.exit_code)
    command = error.ctx.command_path if error.ctx else "bnn2c"
    said = " ".join(error.format_message().split()).rstrip(".")
    return tell([Diagnostic("BNN019", said, hint=f"`{command} --help` lists what there is")], "--json" in given)


app = typer.Typer(
    name="bnn2c",
    cls=_Commands,
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
