"""`bnn2c targets`: the devices, and whether this machine can build and run for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bnn2c.cli.console import print_json, print_table
from bnn2c.cli.guard import guard
from bnn2c.cli.parameters import Debug, Json

if TYPE_CHECKING:
    from bnn2c.targets import Target

__all__ = ["targets"]


def targets(json: Json = False, debug: Debug = False) -> None:
    """List the targets, and what is installed here for them."""
    with guard(debug=debug, json=json):
        from bnn2c.targets import list_targets, load_target

        rows = [_facts(load_target(name)) for name in list_targets()]
        if json:
            print_json({"schema": 1, "targets": rows})
        else:
            print_table(("target", "description", "FPU", "features", "tools"), map(_row, rows))


def _facts(target: Target) -> dict[str, Any]:
    return {
        "name": target.name,
        "description": target.description,
        "word_bits": target.word_bits,
        "fpu": target.fpu,
        "isa": list(target.isa),
        "core": target.core,
        "optimize": target.optimize,
        "missing": _missing(target),
    }


def _missing(target: Target) -> str:
    """What the toolchain says is missing; empty when everything is there."""
    from bnn2c.toolchain import ToolchainMissing, require_tools

    try:
        require_tools(target)
    except ToolchainMissing as error:
        return str(error)
    return ""


def _row(facts: dict[str, Any]) -> list[str]:
    features = ", ".join(facts["isa"]) or "-"
    return [facts["name"], facts["description"], facts["fpu"], features, facts["missing"] or "installed"]
