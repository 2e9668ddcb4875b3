"""The Python interface: `bnn2c.compile` and the object that it returns, with a made-up compiler behind it."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_model import tiny_files, tiny_manifest, tiny_reference, tiny_samples

import bnn2c
from bnn2c.options import Options


class TinyCompiled:
    """Stands in for `bnn2c.pipeline.Compiled`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.files = tiny_files()
        layers = [{**layer, "op": "made_up", "output_shape": [8]} for layer in tiny_manifest()["layers"]]
        self.manifest: dict[str, Any] = {**tiny_manifest(), "target": options.target, "layers": layers}
        self.report_data: dict[str, Any] = {}

    def reference(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        return tiny_reference(inputs)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> bnn2c.CompiledModel:
    stand_in = types.SimpleNamespace(compile_model=lambda path, options: TinyCompiled(options))
    monkeypatch.setitem(sys.modules, "bnn2c.pipeline", stand_in)  # type: ignore[arg-type]
    return bnn2c.compile("tiny.onnx", target="cortex-m0", sign_zero=1)


def test_options_come_from_keywords_and_the_target(model: bnn2c.CompiledModel) -> None:
    from bnn2c.targets import load_target

    options = model.compiled.options  # type: ignore[attr-defined]
    assert (options.target, options.sign_zero) == ("cortex-m0", 1)
    assert options.optimize == load_target("cortex-m0").optimize


@pytest.mark.parametrize("keywords", [{"target": "cortex-m44"}, {"optimise": "size"}, {"optimize": "fast"}])
def test_what_is_misspelt_is_refused(model: bnn2c.CompiledModel, keywords: dict[str, Any]) -> None:
    with pytest.raises(bnn2c.CompileError, match="BNN019"):
        bnn2c.compile("tiny.onnx", **keywords)


def test_run_builds_the_c_and_equals_the_reference(model: bnn2c.CompiledModel) -> None:
    for flag, words in tiny_samples(3):
        expected = model.reference([flag, words])
        for given in ([flag, words], (flag[None], words[None]), {"words": words, "flag": flag}):
            for got, want in zip(model.run(given), expected, strict=True):
                np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    "change",
    [
        lambda flag, words: [flag],
        lambda flag, words: {"flag": flag, "word": words},
        lambda flag, words: [flag, words.T],
        lambda flag, words: [flag + 0.5, words],
        lambda flag, words: [flag.astype(int) + 256, words],
    ],
    ids=["too few", "unknown name", "wrong shape", "fractions", "out of range"],
)
def test_inputs_that_do_not_fit_are_refused(model: bnn2c.CompiledModel, change: Any) -> None:
    with pytest.raises(bnn2c.CompileError, match="BNN022"):
        model.run(change(*tiny_samples(1)[0]))


def test_write(model: bnn2c.CompiledModel, tmp_path: Path) -> None:
    model.write(tmp_path / "gen")
    names = {path.name for path in (tmp_path / "gen").iterdir()}
    assert names == {*model.files, "manifest.json", "report.txt", "report.json", "report.html"}
    assert json.loads((tmp_path / "gen" / "manifest.json").read_text("utf-8")) == model.manifest


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="compiel"):
        bnn2c.compiel  # noqa: B018
    assert {"compile", "CompiledModel"} <= set(dir(bnn2c))
