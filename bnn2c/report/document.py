"""The report as an object, and the facts that only a build or a user can add to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bnn2c.report.html import render_html
from bnn2c.report.text import render_text

__all__ = ["Limits", "Measured", "Report"]


@dataclass(frozen=True)
class Measured:
    """Sizes read from objects that a real compiler made, all in bytes.

    Attributes:
        code_bytes: machine code of the model and of the runtime functions that it uses.
        constant_bytes: read-only data: weights, thresholds, tables.
        static_ram_bytes: writable static data; 0 for generated code.
        compiler: which compiler, for the reader.
    """

    code_bytes: int
    constant_bytes: int
    static_ram_bytes: int = 0
    compiler: str = ""


@dataclass(frozen=True)
class Limits:
    """What the device has room for, in bytes; None is unlimited."""

    flash_bytes: int | None = None
    ram_bytes: int | None = None


@dataclass(frozen=True)
class Report:
    """The report of one compilation.

    Attributes:
        data: JSON-able facts, with the schema that docs/cli.md describes.
    """

    data: dict[str, Any]

    @property
    def fits(self) -> bool | None:
        """Whether the network fits the limits; None when there are none."""
        fits: bool | None = self.data["verdict"]["fits"]
        return fits

    def text(self) -> str:
        """report.txt: the verdict first, then a table of layers, exactness and warnings."""
        return render_text(self.data)

    def json(self) -> str:
        """report.json: all facts; byte-identical for identical input."""
        return json.dumps(self.data, indent=1, sort_keys=False, ensure_ascii=False) + "\n"

    def html(self) -> str:
        """report.html: one self-contained page without scripts."""
        return render_html(self.data)
