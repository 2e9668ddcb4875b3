"""The operations of the IR, one per file; `all_ops` finds them by file name."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from bnn2c.ir.op import Op


def all_ops() -> dict[str, type[Op]]:
    """Every operation class by its snake-case kind, sorted."""
    found: dict[str, type[Op]] = {}
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        for _, item in inspect.getmembers(loaded, inspect.isclass):
            if issubclass(item, Op) and item.__module__ == loaded.__name__ and not inspect.isabstract(item):
                found[module.name] = item
    return dict(sorted(found.items()))
