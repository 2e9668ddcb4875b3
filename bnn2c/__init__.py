"""bnn2c: compiles binary neural networks in ONNX to portable, bit-exact C99.

    import bnn2c
    model = bnn2c.compile("model.onnx", target="cortex-m4")
    model.write("gen")

Importing this package loads nothing else; numpy and onnx are loaded by the first use of `compile`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnn2c.api import CompiledModel, compile
    from bnn2c.errors import CompileError, Diagnostic

__all__ = ["CompileError", "CompiledModel", "Diagnostic", "__version__", "compile"]

__version__ = "0.1.0"

_HOMES = {"compile": "api", "CompiledModel": "api", "CompileError": "errors", "Diagnostic": "errors"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562: any public name
    """Load a public name from its module at its first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'bnn2c' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"bnn2c.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*__all__, *globals()])
