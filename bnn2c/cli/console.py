"""What commands print: diagnostics on stderr, results on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bnn2c.errors import CATALOGUE, Diagnostic

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["error_console", "print_diagnostics", "print_json", "print_table"]

_STYLES = {"error": "bold red", "warning": "bold yellow"}
_PIPE_WIDTH = 160


def print_json(data: object) -> None:
    """Print `data` as the only thing on stdout."""
    sys.stdout.write(json.dumps(data, indent=1, ensure_ascii=True) + "\n")


def print_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Print every diagnostic on stderr, with colour on a terminal."""
    from rich.text import Text

    console = error_console()
    for diagnostic in diagnostics:
        if not diagnostic.hint:
            diagnostic = replace(diagnostic, hint=CATALOGUE[diagnostic.code].action)
        text = Text(diagnostic.text())
        text.stylize(_STYLES[diagnostic.severity], 0, len(diagnostic.severity) + len(diagnostic.code) + 2)
        console.print(text, soft_wrap=True)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Print a table on stdout, as wide as the terminal, or 160 columns when the output is not a terminal.

    Args:
        header: names of the columns.
        rows: cells as plain text; markup in them has no effect.
        right: names of the columns that are aligned to the right.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in header:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False).print(table)


def error_console() -> Console:
    """A console on stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)
