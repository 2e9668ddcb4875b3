"""What a command does when a network does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from bnn2c.cli.console import print_diagnostics
from bnn2c.cli.exit_codes import DOES_NOT_FIT
from bnn2c.errors import Diagnostic

if TYPE_CHECKING:
    from bnn2c.report import Report

__all__ = ["exit_if_too_big"]


def exit_if_too_big(report: Report) -> None:
    """Exit with the code for it when the report says that the network does not fit."""
    if report.fits is not False:
        return
    measured = report.data["sizes"]["code_measured"]
    why = "" if measured else "the code in it is an estimate; with the target's compiler `bnn2c check` measures it"
    hint = "--optimize size shares kernels; the table of layers shows what takes the room"
    print_diagnostics([Diagnostic("BNN020", report.data["verdict"]["text"], why=why, hint=hint)])
    raise typer.Exit(DOES_NOT_FIT)
