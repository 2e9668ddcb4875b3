"""What the documentation says works: the tour of the README, the worked example, links and command names."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import bnn2c
from bnn2c.cli.app import _COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").glob("*/README.md"))]
FOLDERS = ("bnn2c", "runtime_c", "templates", "targets")
NAMED = (*FOLDERS, "docs", "examples", "scripts", "tests")


def run(command: list[str], folder: Path, python_path: Path = ROOT, **more: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(python_path), **more}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def bnn2c_on_the_path(folder: Path) -> Path:
    tool = folder / "bin" / "bnn2c"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bnn2c "$@"\n')
    tool.chmod(0o755)
    return tool


def test_tour_of_the_readme(tmp_path: Path) -> None:
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    text = (ROOT / "README.md").read_text("utf-8")
    block = re.search(r"<!-- tour: .*?-->\n```sh\n(.*?)```", text, re.S)
    assert block
    shutil.copytree(ROOT / "examples" / "digits", tmp_path / "examples" / "digits")
    tool = bnn2c_on_the_path(tmp_path)
    script = block[1].replace(". .venv/bin/activate\n", "set -e\n")
    done = run(["sh", "-c", script], tmp_path, PATH=f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    assert "status 0, score of 0: " in done.stdout
    made = {path.name for path in (tmp_path / "gen" / "tour").iterdir()}
    assert {"digits.h", "digits.c", "digits_weights.c", "manifest.json"} <= made


def test_example_of_the_python_interface(tmp_path: Path) -> None:
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    text = (ROOT / "docs" / "python.md").read_text("utf-8")
    block = re.search(r"<!-- python: .*?-->\n```python\n(.*?)```", text, re.S)
    assert block
    shutil.copy(ROOT / "examples" / "digits" / "digits_cnn.onnx", tmp_path)
    done = run([sys.executable, "-c", block[1]], tmp_path)
    assert done.stdout.endswith("BNN019 --max-ram '64 apples' is not a size for example 256K, 1M or 65536\n")
    assert (tmp_path / "gen" / "digits_cnn.h").is_file()


def test_firmware_example(tmp_path: Path) -> None:
    if not (shutil.which("cc") and shutil.which("make")):
        pytest.skip("no C compiler or no make")
    ignored = shutil.ignore_patterns("build", "__pycache__")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=ignored)
    tool = bnn2c_on_the_path(tmp_path)
    done = run(["make", "run", f"BNN2C={tool}"], tmp_path / "examples" / "firmware")
    emulated = all(map(shutil.which, ("arm-none-eabi-gcc", "qemu-system-arm")))
    assert (done.stdout + done.stderr).count("all right") == 1 + emulated  # QEMU prints on stderr


def test_worked_example_of_adding_an_op(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "adding-an-op.md").read_text("utf-8")
    files = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", page, re.S)
    assert len(files) == 4
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in files:
        assert not (tmp_path / name).exists(), f"{name} is there already: the page needs another example"
        (tmp_path / name).write_text(text, "utf-8")
    constants = [numpy_helper.from_array(np.asarray(1, np.int64), "axis")]
    nodes = [helper.make_node("CumSum", ["x", "axis"], ["y"], "sums")]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 6]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "sums.onnx")
    tests = [sys.executable, "-m", "bnn2c", "verify", "sums.onnx", "--samples", "5", "--json"]
    (result,) = json.loads(run(tests, tmp_path, tmp_path).stdout)["results"]
    assert (result["samples"], result["mismatches"]) == (5, 0)
    shutil.copy(ROOT / "tests" / "test_ops.py", tmp_path)
    done = run([sys.executable, "-m", "pytest", "-q", "test_ops.py", "-k", "cum_sum"], tmp_path, tmp_path)
    assert "3 passed" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_files_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    named = re.findall(rf"\b((?:{'|'.join(NAMED)})/[\w./-]+\.(?:md|py|yaml|c|h|sh|j2))\b", text)
    example = set(re.findall(r"<!-- file: (\S+) -->", text))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing + [name for name in named if name not in example and not (ROOT / name).exists()] == []


def test_tests_that_the_page_on_trust_names_exist() -> None:
    """`file.py::test`, and `::test` of the file named before it."""
    names = re.findall(r"`([\w/]+\.py)?(?:::(\w+)(?:\[[^`]*\])?)?`", (ROOT / "docs" / "trust.md").read_text("utf-8"))
    wanted, file = [], ""
    for named, test in names:
        file = named or file
        wanted += [(file, test)] if test else []
    texts = {file: (ROOT / "tests" / file).read_text("utf-8") for file, _ in wanted}
    assert [(file, test) for file, test in wanted if f"def {test}(" not in texts[file]] == []
    assert len(wanted) > 25


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert [name for name in _COMMANDS if f"bnn2c {name}" not in text] == []


def test_node_test_figures_agree() -> None:
    """README.md and docs/trust.md tell the figures of docs/onnx-operators.md."""
    found = re.search(r"\*\*(\d+) of (\d+) pass\*\*", (ROOT / "docs" / "onnx-operators.md").read_text("utf-8"))
    assert found is not None and found[1] == found[2]
    for page in ("README.md", "docs/trust.md"):
        assert f"{found[1]} of {found[2]}" in (ROOT / page).read_text("utf-8"), page


def keys_of(data: object) -> set[str]:
    """All keys of a JSON document; names of files are keys of `files`, and options are those of Python."""
    if isinstance(data, dict):
        inner = [keys_of(value) for key, value in data.items() if key not in ("files", "options")]
        return set(data).union(*inner)
    return set().union(*map(keys_of, data)) if isinstance(data, list) else set()


def test_every_key_of_the_manifest_and_the_report_is_documented() -> None:
    digits = ROOT / "examples" / "digits"
    vectors = digits / "digits_test.npz"
    fixed = bnn2c.compile(digits / "digits_cnn.onnx", "cortex-m0", real="int16", calibrate=vectors)
    stream = bnn2c.compile(ROOT / "examples" / "har" / "har.onnx", stream=-1)
    text = "".join((ROOT / "docs" / name).read_text("utf-8") for name in ("output-format.md", "cli.md"))
    for model in (fixed, stream):
        for document in (model.manifest, model.report.data):
            assert [key for key in sorted(keys_of(document)) if f"`{key}`" not in text and f'"{key}"' not in text] == []
