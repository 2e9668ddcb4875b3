"""The sizes and instructions that the READMEs state are those of this code, within 2 %."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnn2c.bench import bench_model
from bnn2c.options import Optimize, Options
from bnn2c.pipeline import compile_model

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
CORPUS = ROOT.parent / "shared" / "corpus"
MODELS = {
    "digits CNN": EXAMPLES / "digits" / "digits_cnn.onnx",
    "TFC_1W1A": CORPUS / "brevitas_TFC_1W1A.onnx",
    "CNV_1W1A": CORPUS / "brevitas_CNV_1W1A.onnx",
}
COLUMNS = ("constant_bytes", "code_bytes", "arena_bytes", "stack_bytes", "instructions")

pytestmark = pytest.mark.cross


def measured(path: Path, **options: Any) -> dict[str, Any]:
    """What `bnn2c bench` says about a model on a Cortex-M4."""
    return bench_model(compile_model(path, Options(name="net", target="cortex-m4", **options)))


def numbers(text: str) -> list[int]:
    """Every number of a text, commas as separators of thousands."""
    return [int(word.replace(",", "")) for word in re.findall(r"\d[\d,]*", text)]


@pytest.mark.parametrize("name", [name for name, path in MODELS.items() if path.exists()])
@pytest.mark.parametrize("optimize", ["size", "speed"])
def test_sizes(name: str, optimize: Optimize) -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (ROOT / "README.md").read_text().splitlines()]
    first = next(i for i, row in enumerate(rows) if row and row[0].startswith(name))
    row = rows[first + (optimize == "speed")]
    assert row[2] == optimize
    found = measured(MODELS[name], optimize=optimize, input_scale=1 / 255)
    assert [numbers(cell)[0] for cell in row[3:]] == pytest.approx([found[column] for column in COLUMNS], rel=0.02)


def stated(example: str) -> str:
    """The row of numbers of an example's README."""
    text = (EXAMPLES / example / "README.md").read_text("utf-8")
    return re.search(r"^\|[-|]+\|\n(.*)$", text, re.MULTILINE)[1]


@pytest.mark.parametrize(
    ("example", "options"),
    [
        ("kws", {"stream": 2, "input_scale": float(np.load(EXAMPLES / "kws" / "kws_test.npz")["input_scale"])}),
        ("har", {"stream": 2, "input_scale": 0.25, "input_offset": -32.0}),
        ("text", {"stream": 1}),
    ],
)
def test_frames_of_the_examples(example: str, options: dict[str, Any]) -> None:
    found = measured(EXAMPLES / example / f"{example}.onnx", **options)
    said = re.search(r"\| ([\d,]+) bytes \| (.*); ([\d.]+) KB of flash", stated(example))
    assert numbers(said[1]) == [found["arena_bytes"]]
    means = [found["instructions_per_frame_filling"], found["instructions_per_frame"]]
    assert numbers(said[2]) == pytest.approx(means, rel=0.02)
    assert float(said[3]) == pytest.approx(found["flash_bytes"] / 1000, rel=0.02)


def test_a_character_of_charlm() -> None:
    found = measured(EXAMPLES / "charlm" / "charlm.onnx", states=(("state", "next_state"),))
    weights, arena, instructions, flash = numbers(stated("charlm").partition("units |")[2])[:4]
    assert weights == pytest.approx(found["constant_bytes"], rel=0.02)
    assert arena == found["arena_bytes"]
    assert instructions == pytest.approx(found["instructions"], rel=0.02)
    assert flash == pytest.approx(found["flash_bytes"], rel=0.02)
