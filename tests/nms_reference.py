"""Non-maximum suppression in a few plain lines, for the tests of bnn2c_nms.h."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
KINDS = {"f32": np.float32, "i16": np.int16, "i8": np.int8, "u8": np.uint8}
HEAD = struct.Struct("<9I2d")
Kept = list[tuple[int, int]]


@dataclass(frozen=True)
class Task:
    """Boxes [n, 4] and scores [classes, n]; `most` in units of 2^-15 for integers."""

    kind: str
    boxes: Array
    scores: Array
    limit: int
    most: float
    least: float
    centers: bool = False
    transposed: bool = False  # boxes lie as [4][n], scores as [n][classes]

    def record(self) -> bytes:
        """As the C program reads it."""
        classes, n = self.scores.shape
        steps = (1, n, classes, 1) if self.transposed else (4, 1, 1, n)
        boxes, scores = (self.boxes.T, self.scores.T) if self.transposed else (self.boxes, self.scores)
        kind = list(KINDS).index(self.kind)
        head = HEAD.pack(kind, n, classes, self.limit, *steps, int(self.centers), self.most, self.least)
        return head + np.ascontiguousarray(boxes).tobytes() + np.ascontiguousarray(scores).tobytes()


def plain(task: Task) -> Kept:
    """Sort, then keep what overlaps nothing that is kept; integers exactly, by fractions."""
    exact = task.kind != "f32"
    most = Fraction(int(task.most), 32768) if exact else np.float32(task.most)
    boxes = [[Fraction(int(v)) if exact else np.float32(v) for v in box] for box in task.boxes]
    kept: Kept = []
    for c, scores in enumerate(task.scores):
        of_class: list[int] = []
        order = [i for i in np.argsort(-scores.astype(np.float64), kind="stable") if scores[i] > task.least]
        for i in order:
            if len(of_class) < task.limit and all(overlap(boxes[i], boxes[j], task.centers) <= most for j in of_class):
                of_class.append(int(i))
        kept += [(c, i) for i in of_class]
    return kept


def overlap(one: list[Any], other: list[Any], centers: bool) -> Any:  # noqa: ANN401 - fraction or float32
    """Intersection over union; 0 where an area is not positive."""
    sides, areas = [], []
    for k in (0, 1):
        spans = [
            (b[k] - b[k + 2] / 2, b[k] + b[k + 2] / 2) if centers else sorted((b[k], b[k + 2])) for b in (one, other)
        ]
        (a0, a1), (b0, b1) = spans
        sides.append(min(a1, b1) - max(a0, b0))
        areas.append((a1 - a0, b1 - b0))
    if min(sides) <= 0:
        return 0
    common, first, second = sides[0] * sides[1], areas[0][0] * areas[1][0], areas[0][1] * areas[1][1]
    return common / (first + second - common) if min(first, second, first + second - common) > 0 else 0
