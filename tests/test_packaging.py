"""The wheel: built, installed into a clean virtual environment, and used from another folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parent.parent


def _run(*command: str | Path, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    run = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stdout + run.stderr
    return run


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built by the build backend that is already installed."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of scripts of a new environment with the wheel; the libraries are those of this environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    site = Path(_run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).stdout.strip())
    pip = [
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--disable-pip-version-check",
    ]
    _run(sys.executable, *pip, str(wheel), cwd=folder)
    # A plain line in a .pth file adds the libraries but runs none of their .pth files, so no editable bnn2c of theirs.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return scripts


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """sign(x) W, one binary layer of 32 x 4."""
    weights = np.where(np.random.default_rng(0).random((32, 4)) < 0.5, -1, 1).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Sign", ["x"], ["s"]), helper.make_node("MatMul", ["s", "w"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(weights, "w")],
    )
    path = tmp_path / "tiny.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_wheel_holds_the_files_that_live_outside_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert "bnn2c/py.typed" in names
    for kind in ("templates", "runtime_c", "targets"):
        expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / kind).rglob("*") if path.is_file()}
        assert expected
        assert {f"bnn2c/_data/{path}" for path in expected} <= names
    assert not {name for name in names if name.startswith(("tests/", "examples/", "bench/"))}


def test_installed_package_is_not_this_checkout(installed: Path, tmp_path: Path) -> None:
    where = _run(installed / "python", "-c", "import bnn2c; print(bnn2c.__file__)", cwd=tmp_path).stdout.strip()
    assert Path(where).is_relative_to(installed.parent)


def test_version_is_the_one_of_the_package(installed: Path, tmp_path: Path) -> None:
    probe = "import bnn2c; from importlib.metadata import version; print(bnn2c.__version__ == version('bnn2c'))"
    assert _run(installed / "python", "-c", probe, cwd=tmp_path).stdout.strip() == "True"


def test_installed_command_compiles_from_another_folder(installed: Path, model: Path, tmp_path: Path) -> None:
    _run(installed / "bnn2c", "compile", model, "-o", "gen", "--name", "tiny", cwd=tmp_path)
    names = {path.name for path in (tmp_path / "gen").iterdir()}
    assert {"tiny.h", "tiny.c", "tiny_weights.c", "manifest.json", "report.txt", "report.json", "report.html"} <= names


def test_installed_command_knows_the_targets(installed: Path, tmp_path: Path) -> None:
    assert "cortex-m4" in _run(installed / "bnn2c", "targets", cwd=tmp_path).stdout
