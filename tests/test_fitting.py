"""--max-flash and --max-ram choose smaller kernels, and say so when nothing fits."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import pytest
from models import SCALE
from typer.testing import CliRunner

import bnn2c
from bnn2c.api import options_for
from bnn2c.cli.app import app
from bnn2c.importer import import_graph, load_model
from bnn2c.lowering import lower
from bnn2c.passes.choose_kernels import kernel_choices
from bnn2c.passes.fold_padding import fold_padding
from bnn2c.passes.fuse_thresholds import fuse_thresholds
from bnn2c.targets import load_target

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench"))

import networks  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers that class sharing runs faster, in more flash."""
    path = tmp_path_factory.mktemp("model") / "net.onnx"
    onnx.save(networks.one_layer(networks.Conv(64, 64)), path)
    return path


def compiled(model: Path, **limits: int) -> bnn2c.CompiledModel:
    return bnn2c.compile(model, target="cortex-m4", optimize="speed", input_scale=SCALE, **limits)


def kernels(found: bnn2c.CompiledModel) -> set[str]:
    return {layer["kernel"] for layer in found.manifest["layers"]}


def test_the_fastest_form_is_taken_where_it_fits(model: Path) -> None:
    free = compiled(model)
    sizes = free.report.data["sizes"]
    assert "class_sharing" in kernels(free) and free.report.fits is None
    same = compiled(model, max_flash=sizes["flash_bytes"], max_ram=sizes["ram_bytes"])
    assert same.files == free.files and same.report.fits is True


@pytest.mark.parametrize("limit", ["flash", "ram"])
def test_a_smaller_form_is_taken_where_it_does_not(model: Path, limit: str) -> None:
    free = compiled(model)
    room = free.report.data["sizes"][f"{limit}_bytes"] - 1
    found = compiled(model, **{f"max_{limit}": room})
    assert found.report.fits is True
    assert found.report.data["sizes"][f"{limit}_bytes"] <= room
    assert "class_sharing" not in kernels(found)


def test_layers_give_up_class_sharing_one_after_the_other() -> None:
    net = networks.Builder()
    x = net.conv(net.conv(net.sign("x"), networks.Conv(64, 64)), networks.Conv(64, 32))
    tail = net.add("Conv", x, net.weights(32, 32, 1, 1), strides=[16, 16])
    onnx_model = net.model([1, 64, 16, 16], tail, [1, 32, 1, 1])
    options = options_for("cortex-m4", optimize="speed", name="net")
    graph, _ = lower(fold_padding(import_graph(load_model(onnx_model), options, "net")))
    drafts = kernel_choices(fuse_thresholds(graph), load_target("cortex-m4"), "speed")
    assert [sum(getattr(node.op, "family", "") == "class_sharing" for node in draft.nodes) for draft in drafts] == [
        2, 1, 0, 0,
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["compile", "check"])
def test_nothing_is_written_when_nothing_fits(model: Path, command: str, tmp_path: Path) -> None:
    words = [command, str(model), "--target", "cortex-m4", "--max-flash", "1K", "--quiet"]
    result = CliRunner().invoke(app, words + (["-o", str(tmp_path / "gen")] if command == "compile" else []))
    assert result.exit_code == 3
    assert "BNN020" in result.stderr
    assert not (tmp_path / "gen").exists()
