"""The wheel: the same bytes whenever and wherever it is built, and a bill of its materials."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

SOURCES = ("bnn2c", "templates", "runtime_c", "targets", "pyproject.toml", "README.md", "LICENSE")


def build(folder: Path, **environment: str) -> Path:
    """A wheel built from a copy of the sources."""
    pytest.importorskip("hatchling")
    copy = folder / "copy"
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            copy.mkdir(exist_ok=True, parents=True)
            shutil.copyfile(source, copy / name)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(command, cwd=copy, env={**os.environ, **environment}, check=True, capture_output=True, timeout=120)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("first"))


def test_two_builds_have_the_same_hash(wheel: Path, tmp_path: Path) -> None:
    second = build(tmp_path / "elsewhere", TZ="Asia/Tokyo", PYTHONHASHSEED="7", LC_ALL="C")
    assert second.name == wheel.name
    assert hashlib.sha256(second.read_bytes()).hexdigest() == hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_bill_of_materials(wheel: Path) -> None:
    import sbom

    bill = sbom.bill(wheel)
    assert json.dumps(bill) == json.dumps(sbom.bill(wheel))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    names = {part["name"] for part in bill["components"]}
    assert {"numpy", "onnx", "jinja2", "typer", "rich", "pyyaml", "pyelftools", "protobuf"} <= names
    assert not names & {"pytest", "mypy", "onnxruntime", "ruff"}
    references = {part["bom-ref"] for part in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    assert {edge["ref"] for edge in bill["dependencies"]} == references
    assert all(set(edge["dependsOn"]) <= references for edge in bill["dependencies"])


def test_every_library_states_a_permissive_licence(wheel: Path) -> None:
    import sbom

    parts = sbom.bill(wheel)["components"]
    stated = {part["name"]: part["licenses"][0]["license"]["name"] for part in parts}
    words = ("MIT", "BSD", "Apache", "PSF", "Python Software Foundation", "public domain", "Unlicense", "ISC")
    assert {
        name: text for name, text in stated.items() if not any(word.lower() in text.lower() for word in words)
    } == {}
    page = (ROOT / "docs" / "trust.md").read_text("utf-8")
    direct = set(sbom.requirements(sbom.wheel_metadata(wheel).get_all("Requires-Dist")))
    assert [name for name in direct if f"`{name}`" not in page] == []
