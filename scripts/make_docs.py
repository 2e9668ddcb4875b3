"""Writes what is read off the code: pages under docs/ and a block of README.md; `--check` only says what is stale."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

HEAD = "<!-- Written by `make docs`; edit the code instead. -->\n"
BEGIN, END = "<!-- support: written by `make docs` -->\n", "<!-- end of support -->\n"


def diagnostics_page() -> str:
    """docs/diagnostics.md: every code of the catalogue."""
    from bnn2c.errors import CATALOGUE

    parts = [
        f"## {code}: {info.title}\n\n{info.explain}\n\n*What to do:* {info.action}\n"
        for code, info in CATALOGUE.items()
    ]
    return f"{HEAD}\n# Diagnostics\n\nThe same text is printed by `bnn2c explain CODE`.\n\n" + "\n".join(parts)


def ops_page() -> str:
    """docs/ops.md: ONNX operators that are read, and the operations that they become."""
    from bnn2c.ops import all_ops

    rows = [f"| `{kind}` | {(op.__doc__ or '').strip().splitlines()[0]} |\n" for kind, op in all_ops().items()]
    return (
        f"{HEAD}\n# Operators\n\n{operators()}\n"
        "They become these operations, each with a file in `bnn2c/ops/` (docs/adding-an-op.md):\n\n"
        "| operation | meaning |\n| --- | --- |\n" + "".join(rows)
    )


def operators() -> str:
    """ONNX operators by domain, as a list."""
    from bnn2c.importer.custom import FUSED, REWRITES
    from bnn2c.importer.handlers import supported_operators

    return (
        f"* ONNX: {_names(supported_operators())}.\n"
        "* `If`, `Loop` with a constant trip count, `Scan`; local functions.\n"
        f"* QONNX, Brevitas, FINN: {_names(sorted(REWRITES))}.\n"
        f"* ONNX Runtime's fused operators: {_names(sorted(FUSED))}.\n"
        "* Any operator on constants is computed at compile time and never reaches the device.\n"
    )


def support() -> str:
    """The block of README.md: targets and operators."""
    from bnn2c.targets import list_targets, load_target

    targets = [load_target(name) for name in list_targets()]
    how = {"native": "natively", "qemu-user": "QEMU user mode", "qemu-system": "QEMU, bare metal"}
    how["native-x86"] = "natively, where the processor has it"
    rows = [f"| `{t.name}` | {t.description} | {t.fpu} | {how[t.runner.kind]} |\n" for t in targets]
    table = "| target | device | FPU | tests run it |\n| --- | --- | --- | --- |\n" + "".join(rows)
    return f"{table}\n{node_tests()}\n<details><summary>ONNX operators</summary>\n\n{operators()}\n</details>\n"


def node_tests() -> str:
    """What scripts/node_tests.py found, as it stands in docs/onnx-operators.md."""
    found = re.search(r"\*\*(\d+ of \d+) pass\*\*", (ROOT / "docs" / "onnx-operators.md").read_text("utf-8"))
    assert found is not None
    return (
        f"ONNX's own node tests run through `bnn2c.backend`: **{found[1]}** tests of the claimed forms pass\n"
        "([list and limits](docs/onnx-operators.md)).\n"
    )


def readme_page() -> str:
    """README.md with its block renewed."""
    before, _, rest = (ROOT / "README.md").read_text("utf-8").partition(BEGIN)
    return before + BEGIN + support() + END + rest.partition(END)[2]


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def main() -> int:
    """Write or check the pages; returns the exit code."""
    pages = {"docs/diagnostics.md": diagnostics_page(), "docs/ops.md": ops_page(), "README.md": readme_page()}
    if "--check" in sys.argv[1:]:
        stale = [name for name, text in pages.items() if (ROOT / name).read_text("utf-8") != text]
        print("\n".join(f"{name} is out of date: run `make docs`" for name in stale))
        return bool(stale)
    for name, text in pages.items():
        (ROOT / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
