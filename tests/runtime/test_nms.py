"""Non-maximum suppression: C = a plain reference = onnxruntime's NonMaxSuppression."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from harness import RUNTIME
from nms_reference import KINDS, Kept, Task, plain
from onnx import TensorProto, helper
from strict import CHECKED_GCC

RUN = """
static void run_{0}(const bnn2c_nms_t *p, double most, double least) {{
  const size_t boxes = (size_t)p->boxes * 4u, scores = (size_t)p->boxes * p->classes;
  {1} *b = malloc(boxes * sizeof(*b) + 1u), *s = malloc(scores * sizeof(*s) + 1u);
  bnn2c_nms_box *kept = malloc(p->limit * p->classes * sizeof(*kept) + 1u);
  uint32_t count;
  if (fread(b, sizeof(*b), boxes, stdin) != boxes || fread(s, sizeof(*s), scores, stdin) != scores) {{ exit(1); }}
  count = bnn2c_nms_{0}(p, b, s, ({2})most, ({3})least, kept);
  if (fwrite(&count, 4u, 1u, stdout) != 1u || fwrite(kept, sizeof(*kept), count, stdout) != count) {{ exit(1); }}
  free(b); free(s); free(kept);
}}
"""
MAIN = """
int main(void) {
  uint32_t h[9];
  double level[2];
  while (fread(h, 4u, 9u, stdin) == 9u && fread(level, 8u, 2u, stdin) == 2u) {
    const bnn2c_nms_t p = {(uint16_t)h[1], (uint16_t)h[2], (uint16_t)h[3], (uint16_t)h[4],
                           (uint16_t)h[5], (uint16_t)h[6], (uint16_t)h[7], (uint8_t)h[8]};
    switch (h[0]) {
      case 0u: run_f32(&p, level[0], level[1]); break;
      case 1u: run_i16(&p, level[0], level[1]); break;
      case 2u: run_i8(&p, level[0], level[1]); break;
      default: run_u8(&p, level[0], level[1]); break;
    }
  }
  return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nms")
    types = {"f32": ("float", "float", "float")}
    runs = [
        RUN.format(k, *types.get(k, (f"{'u' if k == 'u8' else ''}int{k[1:]}_t", "uint16_t", "int32_t"))) for k in KINDS
    ]
    text = '#include <stdio.h>\n#include <stdlib.h>\n#include "bnn2c_nms.h"\nint main(void);\n' + "".join(runs) + MAIN
    (folder / "nms.c").write_text(text, "utf-8")
    command = [*CHECKED_GCC, f"-I{RUNTIME}", str(folder / "nms.c"), "-o", str(folder / "nms")]
    subprocess.run(command, check=True, timeout=120)
    return folder / "nms"


def c_kept(program: Path, tasks: Sequence[Task]) -> list[Kept]:
    data = b"".join(task.record() for task in tasks)
    raw = subprocess.run([str(program)], input=data, stdout=subprocess.PIPE, check=True, timeout=120).stdout
    found, place = [], 0
    for _ in tasks:
        (count,) = struct.unpack_from("<I", raw, place)
        numbers = struct.unpack_from(f"<{2 * count}H", raw, place + 4)
        found.append(list(zip(numbers[::2], numbers[1::2], strict=True)))
        place += 4 + 4 * count
    assert place == len(raw)
    return found


def onnx_kept(task: Task) -> Kept:
    import onnxruntime

    names = ["boxes", "scores", "limit", "most", "least"]
    kinds = [TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.INT64, TensorProto.FLOAT, TensorProto.FLOAT]
    shapes = [[1, None, 4], [1, None, None], [1], [1], [1]]
    inputs = [helper.make_tensor_value_info(*one) for one in zip(names, kinds, shapes, strict=True)]
    node = helper.make_node("NonMaxSuppression", names, ["y"], center_point_box=int(task.centers))
    output = helper.make_tensor_value_info("y", TensorProto.INT64, [None, 3])
    graph = helper.make_graph([node], "nms", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    most = task.most if task.kind == "f32" else task.most / 32768
    feeds = {
        "boxes": task.boxes[None].astype(np.float32),
        "scores": task.scores[None].astype(np.float32),
        "limit": np.array([task.limit]),
        "most": np.array([most], np.float32),
        "least": np.array([task.least], np.float32),
    }
    return [(int(c), int(i)) for _, c, i in session.run(None, feeds)[0]]


def real_tasks(rng: np.random.Generator) -> list[Task]:
    tasks = []
    for number in range(40):
        n, classes, centers = int(rng.integers(1, 30)), int(rng.integers(1, 4)), number % 2 == 1
        boxes = rng.random((n, 4)).astype(np.float32)  # corners in any order, or centre and size
        boxes[rng.random(n) < 0.3] = boxes[0]  # equal boxes overlap by 1
        boxes[rng.random(n) < 0.1, 2:] = 0 if centers else boxes[0, :2]  # no area
        scores = np.round(rng.random((classes, n)), number % 3 + 1).astype(np.float32)  # with ties
        limit, most = int(rng.integers(0, n + 1)), float(rng.choice([0.0, 0.3, 0.5, 1.0]))
        tasks.append(
            Task("f32", boxes, scores, limit, most, float(rng.choice([-1.0, 0.2, 0.5])), centers, number % 4 > 1)
        )
    return tasks


def integer_tasks(rng: np.random.Generator) -> list[Task]:
    tasks = []
    for number, kind in enumerate([k for k in KINDS if k != "f32"] * 12):
        limits, n, classes = np.iinfo(KINDS[kind]), int(rng.integers(1, 30)), int(rng.integers(1, 4))
        narrow = number % 3 == 0  # few different numbers: quotients meet the threshold exactly
        low, high = (0, 6) if narrow else (limits.min, limits.max)
        boxes = rng.integers(low, high, (n, 4), endpoint=True).astype(KINDS[kind])
        scores = rng.integers(limits.min, limits.max, (classes, n), endpoint=True).astype(KINDS[kind])
        most = float(rng.choice([0, 8192, 16384, 20000, 32768]))
        least = float(rng.choice([-32769, 0, 40]))
        tasks.append(Task(kind, boxes, scores, n, most, least, number % 2 == 1, number % 4 > 1))
    return tasks


def test_real_boxes(program: Path) -> None:
    tasks = real_tasks(np.random.default_rng(3))
    found = c_kept(program, tasks)
    assert found == [plain(task) for task in tasks] == [onnx_kept(task) for task in tasks]
    assert 100 < sum(map(len, found)) < sum(task.scores.size for task in tasks)


def test_integer_boxes_are_exact(program: Path) -> None:
    tasks = integer_tasks(np.random.default_rng(4))
    assert c_kept(program, tasks) == [plain(task) for task in tasks]


def test_integer_boxes_agree_with_onnxruntime(program: Path) -> None:
    """Where float32 is exact too: small numbers, thresholds that are powers of two."""
    tasks = [
        t
        for t in integer_tasks(np.random.default_rng(5))
        if t.boxes.max() <= 6 and t.boxes.min() >= 0 and t.most != 20000
    ]
    assert len(tasks) >= 8 and c_kept(program, tasks) == [onnx_kept(task) for task in tasks]
