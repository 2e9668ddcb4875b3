"""The command line: one file per command; every heavy import happens inside a command, so that --help is quick."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Entry point of the console script `bnn2c`; exits with a code of `bnn2c.cli.exit_codes`."""
    import io
    import sys

    from bnn2c.cli.app import app

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    app()
