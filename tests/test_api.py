"""The Python interface: `bnn2c.compile` and the object that it returns, with a made-up compiler behind it."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tiny_model import tiny_files, tiny_manifest, tiny_reference, tiny_samples

import bnn2c
from bnn2c.api import options_for
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


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"input_scale": "1/255", "input_offset": "-1"}, {"input_scale": 1 / 255, "input_offset": -1.0}),
        ({"input_scale": np.float32(0.5)}, {"input_scale": 0.5}),
        ({"max_flash": "64K", "max_ram": np.int64(512)}, {"max_flash": 65_536, "max_ram": 512}),
        ({"stream": "2", "sign_zero": "+1"}, {"stream": 2, "sign_zero": 1}),
        ({"states": {"h": "next"}}, {"states": (("h", "next"),)}),
        ({"states": ["h=next", ("c", "more")]}, {"states": (("h", "next"), ("c", "more"))}),
        ({"dump_ir": "ir"}, {"dump_ir": Path("ir")}),
    ],
    ids=str,
)
def test_values_are_read_as_on_the_command_line(written: dict[str, Any], read: dict[str, Any]) -> None:
    options = options_for("cortex-m0", **written)
    assert {name: getattr(options, name) for name in read} == read


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"input_scale": "1/x"}, "--input-scale '1/x' is not a number"),
        ({"input_scale": True}, "--input-scale True is not a number"),
        ({"max_ram": "64Q"}, "--max-ram '64Q' is not a size"),
        ({"max_ram": -1}, "--max-ram -1 is not a size"),
        ({"stream": 1.5}, "--stream 1.5 is not a whole number"),
        ({"states": 5}, "--states 5 is no list of states"),
        ({"states": "h=next"}, "--states 'h=next' is no list of states"),
        ({"states": [("h",)]}, "has a state that is no pair of names"),
        ({"name": 5}, "--name 5 is not text"),
        ({"integrity": 1}, "--integrity 1 is neither True nor False"),
        ({"dump_ir": 1}, "--dump-ir 1 is not the name of a file"),
        ({"calibrate": "nowhere.npz"}, "BNN001.*--calibrate nowhere.npz is not a file"),
        ({"optimise": "size"}, "did you mean optimize"),
        ({"max_ram": "x", "max_flash": "y"}, "(?s)--max-ram.*--max-flash"),
    ],
    ids=str,
)
def test_values_that_cannot_be_read_name_the_option(written: dict[str, Any], said: str) -> None:
    with pytest.raises(bnn2c.CompileError, match=said):
        options_for("portable", **written)


def test_a_model_in_memory_is_compiled_like_its_file(tmp_path: Path) -> None:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Sign", ["x"], ["y"])], "g", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    files = [bnn2c.compile(source).files for source in (path, str(path), path.read_bytes(), model)]
    assert files[0] == files[1] == files[2] == files[3]


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
        lambda flag, words: [flag, None],
        lambda flag, words: [flag, "words"],
        lambda flag, words: [flag, [[1, 2], [3]]],
        lambda flag, words: [flag, words.astype(complex)],
    ],
    ids=["too few", "unknown name", "wrong shape", "fractions", "out of range", "none", "text", "ragged", "complex"],
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
