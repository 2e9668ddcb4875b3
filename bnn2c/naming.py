"""All names and comments that reach C: strings from a model pass through here and nowhere else."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from bnn2c.options import KEYWORDS

MAX_LENGTH = 40

# Macros that the headers of the generated code, errno.h, stdio.h or compilers in GNU mode may define.
MACROS = frozenset(
    ["EOF", "I", "NULL", "assert", "complex", "errno", "i386", "imaginary", "linux", "offsetof"]
    + ["stderr", "stdin", "stdout", "unix"]
)
# What the result of a stream's step holds besides the outputs (templates/model.h.j2).
FIELDS = frozenset(["first_result", "result_count"])


def identifier(text: str, fallback: str = "value") -> str:
    """A valid C identifier of ASCII letters, digits and underscores, at most 40 characters, never a keyword."""
    ascii_text = unicodedata.normalize("NFKD", text[:400]).encode("ascii", "ignore").decode()
    name = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9_]", "_", ascii_text)).strip("_")[:MAX_LENGTH].rstrip("_")
    if not name:
        name = fallback
    if name[0].isdigit():
        name = f"n{name}"
    reserved = name in KEYWORDS | MACROS | FIELDS or name.lower().startswith("bnn2c")
    return f"{name}_" if reserved else name


def unique(texts: list[str], fallback: str = "value") -> list[str]:
    """Distinct identifiers for a list of names, in order; distinct in upper case too, for macros."""
    found: list[str] = []
    taken: set[str] = set()
    for text in texts:
        base = identifier(text, fallback)
        name, n = base, 2
        while name.upper() in taken:
            name, n = f"{base}_{n}", n + 1
        taken.add(name.upper())
        found.append(name)
    return found


def comment(text: str, length: int = 70) -> str:
    """Text that cannot end or nest a C comment, continue a line, or start a trigraph."""
    ascii_text = text[:400].encode("ascii", "replace").decode()
    plain = re.sub(r"[^ -~]", " ", ascii_text).replace("\\", "/")
    clean = re.sub(r"\*(?=/)|/(?=\*)|\?(?=\?)", r"\g<0> ", plain)
    return clean if len(clean) <= length else f"{clean[: length - 3]}..."


def model_name(source: object, given: str | None) -> str:
    """The C prefix: the name the user gave, else the model's file name."""
    if given:
        return identifier(given, "model")
    stem = Path(source).name.split(".")[0] if isinstance(source, (str, Path)) else "model"
    return identifier(stem, "model").lower()
