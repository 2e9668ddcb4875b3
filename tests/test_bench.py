"""Counts: the command, the stored baseline, the cost model against counts, and the picture."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from typer.testing import CliRunner

from bnn2c.cli.app import app
from bnn2c.options import Options
from bnn2c.pipeline import compile_model
from bnn2c.toolchain import ArenaOverrun

BENCH = Path(__file__).resolve().parent.parent / "bench"
sys.path.insert(0, str(BENCH))

import compilers  # noqa: E402
import diff  # noqa: E402
import goals  # noqa: E402
import measure  # noqa: E402
import networks  # noqa: E402
import page  # noqa: E402
import plot  # noqa: E402
import real  # noqa: E402

ROWS: list[dict[str, Any]] = json.loads(diff.RESULTS.read_text("utf-8"))
PREDICTED = [row for row in ROWS if row["target"] in measure.FITTED and row.get("predicted")]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A one-layer network that takes a moment."""
    path = tmp_path / "small.onnx"
    onnx.save(networks.one_layer(networks.Conv(32, 32, size=8)), path)
    return path


def bench(*words: str) -> Any:
    return CliRunner().invoke(app, ["bench", *words, "--quiet"])


def test_a_network_that_overruns_its_arena_is_not_counted(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import bnn2c.bench.measure as module

    run = module.run_on_target
    monkeypatch.setattr(module, "run_on_target", lambda *a, **k: replace(run(*a, **k), guards_intact=False))
    with pytest.raises(ArenaOverrun, match="wrote outside of its arena"):
        module.bench_model(compile_model(small, Options(target="host")))


@pytest.mark.cross
def test_command_counts_frames_of_a_stream(small: Path) -> None:
    result = bench(str(small), "--target", "cortex-m4", "--stream", "2", "--json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["results"]
    (conv,) = (layer for layer in found["layers"] if layer["op"] == "binary_conv2d")
    assert conv["predicted_instructions"] == pytest.approx(conv["instructions"], rel=0.15)
    assert found["instructions"] >= found["instructions_per_frame"] > found["instructions_per_frame_filling"] > 0
    assert found["instructions"] >= sum(layer["instructions"] for layer in found["layers"])
    assert found["constant_time"] is True


@pytest.mark.cross
def test_a_period_of_steps_is_counted(tmp_path: Path) -> None:
    """Behind a stride of two a layer runs at every other frame: the mean lies below the longest step."""
    path = tmp_path / "strided.onnx"
    onnx.save(networks.one_layer(networks.Conv(32, 32, size=16, stride=2)), path)
    result = bench(str(path), "--target", "cortex-m4", "--stream", "2", "--json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["results"]
    assert found["instructions"] / 2 < found["instructions_per_frame"] < found["instructions"] * 0.6


@pytest.mark.cross
def test_command_counts_layers(small: Path) -> None:
    result = bench(str(small), "--target", "cortex-m4", "--json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["results"]
    assert found["constant_time"] is True
    assert sum(layer["instructions"] for layer in found["layers"]) <= found["instructions"]
    layer = max(found["layers"], key=lambda one: one["binary_macs"])
    assert layer["i32"] == pytest.approx(32 * layer["instructions"] / layer["binary_macs"], abs=1e-3)
    assert found["cycles_estimate"] > found["instructions"]
    assert found["flash_bytes"] == found["code_bytes"] + found["constant_bytes"]


@pytest.mark.cross
@pytest.mark.parametrize("target", ["cortex-m4", "rv32imc", "cortex-a7"])
def test_command_counts_what_clang_makes(small: Path, target: str) -> None:
    if not shutil.which("clang"):
        pytest.skip("clang is not installed")
    result = bench(str(small), "--target", target, "--compiler", "clang", "--opt", "-O2", "--json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["results"]
    assert (found["compiler"], found["flag"]) == ("clang", "-O2")
    assert 0 < max(layer["instructions"] for layer in found["layers"]) <= found["instructions"]


@pytest.mark.cross
def test_command_prints_a_table_per_setting(small: Path) -> None:
    result = bench(str(small), "--target", "cortex-m0", "--optimize", "size,speed")
    assert result.exit_code == 0, result.output
    assert "--optimize size" in result.stdout and "--optimize speed" in result.stdout
    assert "cycles (estimate)" in result.stdout


def test_native_targets_have_sizes_but_no_counts(small: Path) -> None:
    result = bench(str(small), "--target", "host", "--json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["results"]
    assert found["instructions"] is None and found["cycles_estimate"] is None
    assert found["arena_bytes"] > 0 and found["code_bytes"] > 0


def test_unknown_setting_is_refused(small: Path) -> None:
    assert bench(str(small), "--optimize", "fast").exit_code == 2


@pytest.mark.cross
def test_counts_did_not_grow() -> None:
    jobs, missing = measure.available(measure.quick_jobs())
    if missing:
        pytest.skip("; ".join(missing))
    rows, stored = list(measure.run(jobs)), diff.baseline()
    assert {row["key"] for row in rows} <= stored.keys()
    assert diff.differences(rows, stored)[0] == []


def test_growth_is_found() -> None:
    row = {**ROWS[0], "compiler": "cc 1"}
    stored = {row["key"]: {**row, "instructions": int(row["instructions"] / 1.03)}}
    assert len(diff.differences([row], stored)[0]) == 1
    assert diff.differences([row], {row["key"]: row}) == ([], [])
    assert diff.differences([{**row, "compiler": "cc 2"}], stored)[0] == []


def test_results_are_those_of_the_baseline() -> None:
    assert diff.differences(ROWS, diff.baseline()) == ([], [])
    assert diff.baseline().keys() == {row["key"] for row in ROWS}


@pytest.mark.parametrize("row", PREDICTED, ids=[row["key"] for row in PREDICTED])
def test_cost_model_is_within_ten_percent(row: dict[str, Any]) -> None:
    """The baseline holds the counts of QEMU; the prediction is made anew from the cost tables."""
    assert prediction(row) == pytest.approx(row["instructions"], rel=0.1)


@pytest.mark.parametrize(("optimize", "kinds"), [("speed", {"paired_conv2d"}), ("size", {"quantized_conv2d"})])
def test_first_layers_keep_one_bit_a_weight_at_size(optimize: Any, kinds: set[str]) -> None:
    net = networks.Builder()
    hidden = net.conv("x", networks.Conv(3, 8, size=6, pad=0))
    model = net.model([1, 3, 6, 6], net.add("Conv", hidden, net.weights(4, 8, 3, 3)), [1, 4, 2, 2])
    found = compile_model(model, Options(optimize=optimize, input_scale=1 / 255))
    assert kinds <= {node.op.kind for node in found.final.nodes}
    image = np.random.default_rng(1).integers(0, 256, (1, 3, 6, 6)).astype(np.uint8)
    expected = ReferenceEvaluator(model).run(None, {"x": image.astype(np.float32) / np.float32(255)})[0]
    np.testing.assert_allclose(found.reference([image])[0], expected, atol=1e-4)


def test_stored_predictions_are_within_ten_percent_on_every_target() -> None:
    rows = [row for row in ROWS if row.get("predicted")]
    assert len(rows) > 100
    assert [row["key"] for row in rows if abs(row["predicted"] / row["instructions"] - 1) > 0.1] == []


def prediction(row: dict[str, Any]) -> int:
    """Instructions that the cost model says for a measured layer."""
    from bnn2c.kernels.alternatives import PREDICTIONS
    from bnn2c.kernels.shape import ConvShape
    from bnn2c.targets import load_target

    layer = networks.LAYERS[row["network"]]
    size, out = (1, 1) if layer.dense else (layer.size, layer.output_size)
    kernel, stride, pad = (1, 1, 0) if layer.dense else (layer.kernel, layer.stride, layer.pad)
    shape = ConvShape(size, size, layer.inputs, out, out, layer.outputs, kernel, kernel, stride, stride, pad, pad)
    return PREDICTIONS[row["kernel"]](shape, True, load_target(row["target"]), row["lane_words"]).instructions


def test_stored_timing_is_static() -> None:
    binary = [row for row in ROWS if row["network"] != "CNV_1W1A"]  # its float logits take software steps on M0
    assert [row["key"] for row in binary if row["constant_time"] is False] == []


def test_page_and_picture_are_those_of_the_results() -> None:
    assert page.PAGE.read_text("utf-8") == page.page(ROWS)
    assert (BENCH / "results.svg").read_text("utf-8") == plot.plot(ROWS)
    assert ElementTree.fromstring(plot.plot(ROWS)).tag.endswith("svg")


def test_table_of_compilers_is_that_of_the_counts() -> None:
    text = compilers.PAGE.read_text("utf-8")
    assert compilers.with_table(text, compilers.stored()) == text
    layers = {f"{layer}, {target}" for layer in ("C", "F") for target in compilers.TARGETS}
    assert layers <= {row["key"] for row in compilers.stored()}


def test_every_benchmarked_target_has_goals() -> None:
    assert set(goals.GOALS) == set(measure.TARGETS)


def test_goals_of_real_layers_are_met_and_told() -> None:
    rows = json.loads(real.RESULTS.read_text("utf-8"))
    assert [row for row in rows if real.missed(row)] == []
    told = {(row["layer"], row["real"], row["target"]) for row in rows}
    assert real.GOALS.keys() <= told and len(told) == len(rows)
    assert real.PAGE.read_text("utf-8") == real.page(rows)


@pytest.mark.cross
@pytest.mark.parametrize("key", real.GOALS, ids=" ".join)
def test_real_layers_count_as_stored(key: tuple[str, Any, str]) -> None:
    stored = {(row["layer"], row["real"], row["target"]): row for row in json.loads(real.RESULTS.read_text("utf-8"))}
    found = real.measured(*key)
    assert not real.missed(found)
    if found["compiler"] == stored[key]["compiler"]:
        assert found["instructions"] == pytest.approx(stored[key]["instructions"], rel=0.02)
