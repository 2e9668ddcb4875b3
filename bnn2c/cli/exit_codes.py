"""Exit codes of every command; docs/cli.md lists them for users."""

from __future__ import annotations

from collections.abc import Iterable

from bnn2c.errors import Diagnostic

__all__ = ["DOES_NOT_FIT", "EPILOG", "INTERRUPTED", "MISMATCH", "OK", "REFUSED", "TOOL_MISSING", "exit_code"]

OK = 0
MISMATCH = 1
REFUSED = 2
DOES_NOT_FIT = 3
TOOL_MISSING = 4
INTERRUPTED = 130

EPILOG = (
    "Exit codes: 0 ok, 1 verify found a mismatch, 2 the model cannot be compiled or the command is wrong, "
    "3 does not fit, 4 a toolchain is missing."
)

_BY_CODE = {"BNN020": DOES_NOT_FIT, "BNN021": TOOL_MISSING}


def exit_code(diagnostics: Iterable[Diagnostic]) -> int:
    """The exit code for errors: the special one of a code only when every error has that code."""
    codes = {_BY_CODE.get(one.code, REFUSED) for one in diagnostics}
    return codes.pop() if len(codes) == 1 else REFUSED
