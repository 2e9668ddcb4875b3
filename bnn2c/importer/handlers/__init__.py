"""Handlers of ONNX operators, one family per file; `handler_for` finds them by operator name."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from bnn2c.importer.functions import EXPANDED
from bnn2c.importer.handlers.registry import HANDLERS, REFUSED, Handler


@cache
def _load_all() -> None:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def handler_for(op_type: str) -> Handler | None:
    """The function that imports an operator, or None."""
    _load_all()
    return HANDLERS.get(op_type)


def supported_operators() -> list[str]:
    """Names of the ONNX operators that can be compiled in at least one form, without those that are only refused."""
    _load_all()
    return sorted({*HANDLERS, *EXPANDED} - REFUSED)
