"""Diagnostics: what the compiler tells a person, and the exception that carries it.

Every message that can reach a user is a `Diagnostic` with a code of the `CATALOGUE`; `bnn2c explain CODE` prints
the paragraph behind it. A stage that finds problems collects all of them and raises one `CompileError`, so that a
user sees every problem at once instead of one per run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bnn2c.diagnostic_codes import CATALOGUE, CodeInfo

__all__ = [
    "CATALOGUE",
    "CodeInfo",
    "CompileError",
    "Diagnostic",
    "Severity",
    "meaning",
    "own_words",
    "plural",
    "reason",
]

Severity = Literal["error", "warning"]

_DETAILS = (("node", "node"), ("op", "operator"), ("shapes", "shapes"), ("why", "why"), ("hint", "what to do"))
_LABEL_WIDTH = 12
# What Python and numpy say of operands that do not fit, and what that means to somebody who knows ONNX.
_SAID = (
    (r"maximum supported dimension", "there are more than 64 axes"),
    (r"broadcast", "the shapes of its operands cannot be combined"),
    (r"out of bounds", "an axis or index lies outside of the operand"),
    (r"reshape array", "the number of elements is not that of the sizes"),
    (r"axes don't match|repeated axis", "the axes are no permutation of those of the operand"),
    (r"size not equal to one", "an axis that is to be removed has not the size 1"),
    (r"step cannot be zero", "a step is 0"),
    (r"division by zero", "a step or divisor is 0"),
    (r"input array dimensions|number of dimensions|same shape", "its operands differ outside of the axis"),
    (r"[Nn]o implementation|not implemented", "ONNX's own evaluator does not have the operator"),
    (r"values to unpack|invalid literal|could not convert|zip\(\)|matmul|einstein|einsum|zero-size|dtype|numpy", ""),
)
_MISFIT = "an operand or attribute has another type, rank or number of elements than the operator takes"


def own_words(error: Exception) -> str:
    """What an exception says that was raised on purpose, as a ValueError; empty for words of Python and numpy."""
    said = str(error)
    return said if isinstance(error, ValueError) and not any(re.search(words, said) for words, _ in _SAID) else ""


def meaning(error: Exception) -> str:
    """What the words of Python and numpy mean, as a sentence about operands."""
    said = str(error)
    return next((plain for words, plain in _SAID if plain and re.search(words, said)), _MISFIT)


def reason(error: Exception) -> str:
    """What an exception says that was raised on purpose, or what it means."""
    return own_words(error) or meaning(error)


def plural(count: int, noun: str) -> str:
    """``1 layer``, ``2 layers``, ``10,000 layers``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


@dataclass(frozen=True)
class Diagnostic:
    """One problem or warning, in the user's terms.

    Attributes:
        code: a key of `CATALOGUE`, such as ``BNN005``.
        message: one sentence that says what is wrong, with the offending value.
        node: name of the ONNX node (or tensor) it is about; empty when it is about the whole model or command.
        op: ONNX operator, with its domain when that is not ai.onnx.
        shapes: shapes of the operands, as text.
        why: the fact that was missing, or the chain of facts that led here.
        hint: what the user can change.
        severity: an error stops the compilation, a warning is reported.
    """

    code: str
    message: str
    node: str = ""
    op: str = ""
    shapes: str = ""
    why: str = ""
    hint: str = ""
    severity: Severity = "error"

    def __post_init__(self) -> None:
        """Refuse a code that `bnn2c explain` could not explain.

        Raises:
            ValueError: when `code` is not in the catalogue.
        """
        if self.code not in CATALOGUE:
            raise ValueError(f"diagnostic code {self.code!r} is not in the catalogue")

    def line(self) -> str:
        """The diagnostic on one line: ``error[BNN005]: message``."""
        return f"{self.severity}[{self.code}]: {_one_line(self.message)}"

    def text(self) -> str:
        """The diagnostic as readable lines: the message, then one indented line per detail that is known."""
        details = [(label, _one_line(getattr(self, field))) for field, label in _DETAILS]
        rows = [f"  {label + ':':<{_LABEL_WIDTH}} {value}" for label, value in details if value]
        return "\n".join([self.line(), *rows])

    def as_dict(self) -> dict[str, str]:
        """The diagnostic as JSON-able data, every key present."""
        keys = ("code", "severity", "message", "node", "op", "shapes", "why", "hint")
        return {key: str(getattr(self, key)) for key in keys}


class CompileError(Exception):
    """The model cannot be compiled (or a command cannot be carried out); holds every diagnostic found."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Keep the diagnostics.

        Args:
            diagnostics: at least one, in the order in which a reader should see them.

        Raises:
            ValueError: when there is none.
        """
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        if not self.diagnostics:
            raise ValueError("a CompileError needs at least one diagnostic")
        super().__init__(self.diagnostics)

    @classmethod
    def single(
        cls, code: str, message: str, *, node: str = "", op: str = "", shapes: str = "", why: str = "", hint: str = ""
    ) -> CompileError:
        """An error with one diagnostic; the keyword arguments are fields of `Diagnostic`."""
        return cls([Diagnostic(code, message, node, op, shapes, why, hint)])

    def __str__(self) -> str:
        """All diagnostics as text, separated by an empty line."""
        return "\n\n".join(diagnostic.text() for diagnostic in self.diagnostics)


def _one_line(text: str) -> str:
    """`text` with line breaks and other control characters as blanks: names come from untrusted models."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
