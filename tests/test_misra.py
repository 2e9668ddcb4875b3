"""MISRA C:2012: no rule is violated that docs/misra.md does not list; the static analysers of gcc and clang agree."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import misra

# Of gcc 12's analyser: constant addresses of the arena are no leaks, and C99 has no attribute for what is never NULL.
ANALYSERS = {
    "gcc": ["gcc", "-std=c99", "-O2", "-fanalyzer", "-Werror", "-c", "-o", "/dev/null"],
    "clang": ["clang", "-std=c99", "--analyze", "--analyzer-output", "text", "-Xclang", "-analyzer-werror"],
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return misra.generate(tmp_path_factory.mktemp("misra"))


@pytest.mark.slow
def test_only_listed_rules_are_violated(sources: list[Path]) -> None:
    if shutil.which("cppcheck") is None:
        pytest.skip("cppcheck is not installed")
    found = misra.findings(sources)
    assert found, "the addon did not run"
    assert [finding for finding in found if finding[2] not in misra.listed()] == []


def test_a_violation_is_found(tmp_path: Path) -> None:
    if shutil.which("cppcheck") is None:
        pytest.skip("cppcheck is not installed")
    bad = tmp_path / "bad.c"
    bad.write_text("int f(int x);\nint f(int x) {\n  if (x > 0) goto out;\n  x = 010;\nout:\n  return x;\n}\n")
    rules = {rule for _, _, rule in misra.findings([bad])}
    assert {"15.1", "7.1", "15.6"} <= rules
    assert not {"15.1", "7.1", "15.6"} & misra.listed()


@pytest.mark.slow
@pytest.mark.parametrize("analyser", ANALYSERS)
def test_static_analysers_find_nothing(sources: list[Path], analyser: str) -> None:
    command = ANALYSERS[analyser]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    for source in sources:
        run = subprocess.run(
            [*command, str(source)], cwd=source.parent, capture_output=True, text=True, timeout=300, check=False
        )
        assert run.returncode == 0, run.stderr[-3000:]
