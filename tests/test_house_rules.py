"""The house rules of the design: short functions and files, documented, typed and lint-free."""

from __future__ import annotations

import ast
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sorted((ROOT / "bnn2c").rglob("*.py"))
C = sorted(path for path in (ROOT / "runtime_c").rglob("*") if path.suffix in (".c", ".h"))
OP_TEMPLATES = sorted((ROOT / "templates" / "ops").glob("*.j2"))

MAX_FILE, MAX_FUNCTION, MAX_P90, MAX_MEDIAN, MAX_OP_TEMPLATE = 300, 60, 25, 8, 25

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, Function):
            yield node


def _length(function: Function) -> int:
    """Lines from `def` to the end, without the docstring."""
    docstring = function.body[0] if ast.get_docstring(function, clean=False) is not None else None
    doc_lines = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - doc_lines


@pytest.mark.parametrize("path", [*PYTHON, *C], ids=_name)
def test_file_is_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) < MAX_FILE


@pytest.mark.parametrize("path", OP_TEMPLATES, ids=_name)
def test_op_template_is_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) < MAX_OP_TEMPLATE


def test_functions_are_short() -> None:
    lengths = {f"{_name(path)}:{f.lineno} {f.name}": _length(f) for path in PYTHON for f in _functions(path)}
    assert {where: lines for where, lines in lengths.items() if lines > MAX_FUNCTION} == {}
    assert statistics.median(lengths.values()) <= MAX_MEDIAN
    assert statistics.quantiles(lengths.values(), n=10)[-1] <= MAX_P90


@pytest.mark.parametrize("path", PYTHON, ids=_name)
def test_public_things_have_docstrings(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    documented = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    public = [node for node in tree.body if isinstance(node, documented) and not node.name.startswith("_")]
    assert ast.get_docstring(tree), "module"
    assert [node.name for node in public if not ast.get_docstring(node)] == []


@pytest.mark.parametrize(
    "folder", ["bnn2c", "runtime_c", "templates", "targets", "tests", "docs", "examples", "scripts", "bench"]
)
def test_nothing_is_left_to_do_and_no_path_of_one_machine(folder: str) -> None:
    words = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|/(work|root|home)/\w")
    texts = (".py", ".c", ".h", ".j2", ".yaml", ".md", ".sh")
    files = [path for path in (ROOT / folder).rglob("*") if path.suffix in texts and path != Path(__file__).resolve()]
    hits = [(_name(path), match.group()) for path in files if (match := words.search(path.read_text("utf-8")))]
    assert hits == []


def _clean(*command: str) -> None:
    run = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_ruff() -> None:
    pytest.importorskip("ruff")
    _clean("ruff", "check", ".")


def test_format() -> None:
    """`ruff format .` makes it so."""
    pytest.importorskip("ruff")
    _clean("ruff", "format", "--check", ".")


def test_mypy_strict() -> None:
    pytest.importorskip("mypy")
    _clean("mypy")


def test_generated_pages_are_up_to_date() -> None:
    command = [sys.executable, "scripts/make_docs.py", "--check"]
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=ROOT, env=here, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
