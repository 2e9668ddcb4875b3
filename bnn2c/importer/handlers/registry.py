"""The registry that `@handles` fills."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.tensors import Value

Handler = Callable[[Context, Call], Sequence[Value]]
Kind = TypeVar("Kind", bound=Handler)
HANDLERS: dict[str, Handler] = {}
REFUSED: set[str] = set()
"""Operators whose handler only says why they cannot be compiled."""


def handles(*operators: str) -> Callable[[Kind], Kind]:
    """Register a function as the importer of ONNX operators; it returns the node's outputs in order."""

    def register(function: Kind) -> Kind:
        for name in operators:
            HANDLERS[name] = function
        return function

    return register


def refuses(*operators: str) -> Callable[[Kind], Kind]:
    """Register a function that raises the diagnostic of operators that cannot be compiled."""
    REFUSED.update(operators)
    return handles(*operators)
