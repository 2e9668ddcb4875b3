"""The detector of docs/detection.md: network and suppression in C against onnxruntime, and its integer form."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from models import Net, compiled, ort_session
from nms_reference import Task, plain
from onnx import TensorProto, helper

from bnn2c.pipeline import Compiled

ROOT = Path(__file__).resolve().parent.parent
SCALE = 1 / 255
MAIN = """
#include <stdio.h>
int main(void) {
  static uint64_t arena[(DET_ARENA_BYTES + 7u) / 8u];
  det_input_t in;
  while (fread(&in, sizeof(in), 1u, stdin) == 1u) {
    bnn2c_nms_box found[15];
    const uint32_t count = find(&in, arena, found);
    printf("%u", (unsigned)count);
    for (uint32_t k = 0u; k < count; k++) {
      printf(" %u %u", (unsigned)found[k].class_index, (unsigned)found[k].box);
    }
    printf("\\n");
  }
  return 0;
}
"""


def detector(suppressed: bool = False) -> onnx.ModelProto:
    """Real stem, binary block, 4x4 cells with a box each; with NonMaxSuppression for onnxruntime."""
    rng, n = np.random.default_rng(6), Net()
    x = n.add("Conv", n.input([1, 1, 8, 8]), rng.standard_normal((16, 1, 3, 3)), strides=[2, 2], pads=[1, 1, 1, 1])
    x = n.add("Add", x, n.add("Mul", n.add("Conv", sign(n, x), signs(rng, 16, 16), pads=[1, 1, 1, 1]), 0.1))
    heads = n.add("Conv", sign(n, x), rng.standard_normal((7, 16, 1, 1)) / 2, rng.standard_normal(7) / 4)
    cells = n.reshape(n.add("Transpose", heads, perm=[0, 2, 3, 1]), 1, 16, 7)
    scores, boxes = (n.add("Slice", cells, *map(np.array, ([a], [b], [2]))) for a, b in ((0, 3), (3, 7)))
    scores = n.named(n.add("Softmax", scores, axis=2), "scores")
    boxes = n.named(n.add("Sigmoid", boxes), "boxes")
    if not suppressed:
        return n.model(scores, boxes)
    limits = [np.array([5]), np.array([0.5], np.float32), np.array([0.3], np.float32)]
    by_class = n.add("Transpose", scores, perm=[0, 2, 1])
    kept = n.add("NonMaxSuppression", boxes, by_class, *limits, center_point_box=1)
    model = n.model(scores, boxes)
    model.graph.output.append(helper.make_tensor_value_info(kept, TensorProto.INT64, [None, 3]))
    return model


def sign(n: Net, x: str) -> str:
    return n.add("Where", n.add("GreaterOrEqual", x, 0.0), 1.0, -1.0)


def signs(rng: np.random.Generator, made: int, given: int) -> Any:  # noqa: ANN401 - an array
    return rng.choice([-1.0, 1.0], (made, given, 3, 3))


def snippets() -> dict[str, str]:
    """The C of the page; the integer form is the first one with another last statement."""
    found = dict(re.findall(r"<!-- snippet: (\w+) -->\n```c\n(.*?)```", (ROOT / "docs/detection.md").read_text(), re.S))
    before, _, after = found["float32"].partition("  return bnn2c_nms_f32")
    return {"float32": found["float32"], "fixed": before + found["fixed"] + after.partition(";\n")[2]}


def write(found: Compiled, folder: Path, main: str) -> list[str]:
    """Generated files and the program; paths of the sources."""
    for name, text in {**found.files, "main.c": main}.items():
        (folder / name).write_text(text, "utf-8")
    return sorted(str(path) for path in folder.glob("*.c"))


def run(sources: list[str], folder: Path, pictures: np.ndarray[Any, Any]) -> list[list[int]]:
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-ffp-contract=off", *sources, "-lm"]
    subprocess.run([*command, "-o", str(folder / "det")], check=True, timeout=120)
    data = np.ascontiguousarray(pictures).tobytes()
    done = subprocess.run([str(folder / "det")], input=data, stdout=subprocess.PIPE, check=True, timeout=60)
    return [list(map(int, line.split())) for line in done.stdout.decode().splitlines()]


def flat(rows: Any) -> list[int]:  # noqa: ANN401 - pairs of class and box
    return [len(rows), *(int(v) for row in rows for v in row)]


def test_boxes_are_those_of_onnxruntime(tmp_path: Path) -> None:
    found = compiled(detector(), name="det", nms=True)
    pictures = np.random.default_rng(1).random((40, 1, 1, 8, 8)).astype(np.float32)
    session = ort_session(detector(suppressed=True))
    expected = [flat(session([picture])[2][:, 1:]) for picture in pictures]
    assert run(write(found, tmp_path, snippets()["float32"] + MAIN), tmp_path, pictures) == expected
    assert 40 < sum(row[0] for row in expected) < 40 * 15


@pytest.mark.parametrize("real", ["int16", "int8"])
def test_integer_boxes(real: str, tmp_path: Path) -> None:
    """The C keeps what the integers of the graph's reference say, and mostly what float32 keeps."""
    pictures = np.random.default_rng(2).integers(0, 256, (80, 1, 1, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "calibration.npz", input=pictures[:40, 0])
    options = {"name": "det", "nms": True, "real": real, "input_scale": SCALE}
    found = compiled(detector(), calibrate=tmp_path / "calibration.npz", **options)
    scale = found.manifest["outputs"][0]["scale"]
    expected = []
    for picture in pictures[40:]:
        scores, boxes = (np.asarray(v).reshape(16, -1).astype(np.int16) for v in found.reference([picture]))
        expected.append(flat(plain(Task("i16", boxes, scores.T, 5, 16384, int(0.3 / scale), True))))
    got = run(write(found, tmp_path, snippets()["fixed"] + MAIN), tmp_path, pictures[40:])
    assert got == expected
    session = ort_session(detector(suppressed=True))
    exact = [flat(session([(p * np.float64(SCALE)).astype(np.float32)])[2][:, 1:]) for p in pictures[40:]]
    assert np.mean([one == other for one, other in zip(got, exact, strict=True)]) > 0.8


@pytest.mark.cross
def test_integer_boxes_need_no_float(tmp_path: Path) -> None:
    pictures = np.random.default_rng(2).integers(0, 256, (16, 1, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "calibration.npz", input=pictures)
    options = {"name": "det", "nms": True, "real": "int8", "input_scale": SCALE, "target": "cortex-m0"}
    found = compiled(detector(), calibrate=tmp_path / "calibration.npz", **options)
    program = snippets()["fixed"].replace("static uint32_t find", "uint32_t find")
    command = ["arm-none-eabi-gcc", "-mcpu=cortex-m0", "-mthumb", "-Os", "-std=c99", "-r", "-nostdlib"]
    subprocess.run([*command, *write(found, tmp_path, program), "-o", str(tmp_path / "det.o")], check=True)
    command = ["arm-none-eabi-nm", "-u", str(tmp_path / "det.o")]
    needed = set(re.findall(r"U (\S+)", subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert not {name for name in needed if re.search(r"_[fd](add|sub|mul|div|cmp)|[fd]2|2[fd]|^(exp|log|pow)", name)}, (
        needed
    )
    assert any(name.startswith("__aeabi_l") for name in needed), "64-bit areas"
