"""Writes the pages under docs/ that are read off the code; `--check` only says whether they are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from bnn2c.errors import CATALOGUE

DOCS = Path(__file__).resolve().parent.parent / "docs"
HEAD = "<!-- Written by `make docs`; edit the code instead. -->\n"


def diagnostics_page() -> str:
    """docs/diagnostics.md: every code of the catalogue."""
    parts = [
        f"## {code}: {info.title}\n\n{info.explain}\n\n*What to do:* {info.action}\n"
        for code, info in CATALOGUE.items()
    ]
    return f"{HEAD}\n# Diagnostics\n\nThe same text is printed by `bnn2c explain CODE`.\n\n" + "\n".join(parts)


def ops_page() -> str:
    """docs/ops.md: ONNX operators that are read, and the operations that they become."""
    from bnn2c.importer.handlers import supported_operators
    from bnn2c.ops import all_ops

    rows = [f"| `{kind}` | {(op.__doc__ or '').strip().splitlines()[0]} |\n" for kind, op in all_ops().items()]
    onnx = ", ".join(f"`{name}`" for name in supported_operators())
    return (
        f"{HEAD}\n# Operators\n\nONNX operators with an importer:\n{onnx}.\n\n"
        "Constant expressions of any ONNX operator are folded and never reach the device.\n\n"
        "They become these operations, each with a file in `bnn2c/ops/`:\n\n| operation | meaning |\n| --- | --- |\n"
        + "".join(rows)
    )


def main() -> int:
    """Write or check the pages; returns the exit code."""
    pages = {DOCS / "diagnostics.md": diagnostics_page(), DOCS / "ops.md": ops_page()}
    if "--check" in sys.argv[1:]:
        stale = [path.name for path, text in pages.items() if not path.is_file() or path.read_text("utf-8") != text]
        print("\n".join(f"docs/{name} is out of date: run `make docs`" for name in stale))
        return bool(stale)
    for path, text in pages.items():
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
