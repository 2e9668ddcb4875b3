"""`bnn2c explain`: the paragraph behind a diagnostic code."""

from __future__ import annotations

from typing import Annotated

import typer

from bnn2c.cli.console import print_json
from bnn2c.cli.guard import guard
from bnn2c.cli.parameters import Json
from bnn2c.errors import CATALOGUE, CodeInfo, CompileError

__all__ = ["explain"]

_WIDTH = 96


def explain(
    code: Annotated[str | None, typer.Argument(help="A code such as BNN012; without it all codes are listed.")] = None,
    json: Json = False,
) -> None:
    """Explain a diagnostic code: what it means and what to do."""
    with guard(json=json):
        codes = CATALOGUE if code is None else {_known(code): CATALOGUE[_known(code)]}
        if json:
            print_json({"schema": 1, "codes": [{"code": key, **info._asdict()} for key, info in codes.items()]})
        elif code is None:
            typer.echo("\n".join(f"{key}  {info.title}" for key, info in codes.items()))
        else:
            typer.echo("\n".join(_paragraphs(key, info) for key, info in codes.items()))


def _known(code: str) -> str:
    """The code as the catalogue writes it: `12`, `bnn12` and `BNN012` are the same."""
    digits = code.strip().upper().removeprefix("BNN")
    known = f"BNN{digits.zfill(3)}"
    if known not in CATALOGUE:
        raise CompileError.single("BNN019", f"unknown code {code!r}", hint="`bnn2c explain` lists the codes")
    return known


def _paragraphs(code: str, info: CodeInfo) -> str:
    from textwrap import fill

    body = fill(info.explain, _WIDTH)
    action = fill(info.action, _WIDTH)
    return f"{code}: {info.title}\n\n{body}\n\nWhat to do: {action}"
