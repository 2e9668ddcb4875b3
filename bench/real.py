"""Measures the real parts of hybrid networks: instructions per multiply-accumulate of float32, int16 and int8 layers.

python bench/real.py            writes bench/real.json and docs/bench-real.md; exit code 1 when a goal is missed
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from measure import compiler
from networks import Builder

from bnn2c.bench import bench_model
from bnn2c.options import Options, Real
from bnn2c.pipeline import compile_model

FOLDER = Path(__file__).resolve().parent
RESULTS, PAGE = FOLDER / "real.json", FOLDER.parent / "docs" / "bench-real.md"
TARGETS = ("cortex-m4", "cortex-m55", "aarch64")
FORMATS: tuple[Real, ...] = ("float32", "int16", "int8")
GOALS = {("conv 3x3", "float32", "cortex-m4"): 2.5, ("conv 3x3", "int8", "cortex-m4"): 1.3}
HEAD = """<!-- Written by `make bench`; do not edit. -->

# Counted instructions of real layers

Executed instructions per real multiply-accumulate, counted as in [bench.md](bench.md), at `--optimize speed`:
everything in the layer included, borders and rounding too. Goals are for the 3x3 convolution on Cortex-M4:
2.5 in float32, 1.3 in int8. **Bold** misses the goal. `make bench` measures again.

"""


@dataclass(frozen=True)
class Layer:
    """A real layer on 16x16 pixels with zero padding 1; `groups` as in ONNX."""

    title: str
    inputs: int
    outputs: int
    kernel: int
    groups: int = 1

    def model(self) -> onnx.ModelProto:
        """The layer between a Relu of the input and a convolution of one pixel."""
        net = Builder()
        shape = (self.outputs, self.inputs // self.groups, self.kernel, self.kernel)
        weights = net.rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        x = net.add("Relu", "x")
        x = net.add("Relu", net.add("Conv", x, net.constant(weights), pads=[self.kernel // 2] * 4, group=self.groups))
        y = net.add("Conv", x, net.constant(net.rng.standard_normal((1, self.outputs, 1, 1))), strides=[16, 16])
        return net.model([1, self.inputs, 16, 16], y, [1, 1, 1, 1])


LAYERS = {
    "conv 3x3": Layer("3x3, 32 to 32 channels", 32, 32, 3),
    "conv 1x1": Layer("1x1, 64 to 64 channels", 64, 64, 1),
    "depthwise 3x3": Layer("depthwise 3x3, 64 channels", 64, 64, 3, 64),
}


def measured(name: str, real: Real, target: str) -> dict:
    """A row: the layer with the most multiply-accumulates."""
    compiled = compile_model(LAYERS[name].model(), Options(target=target, optimize="speed", name="net", real=real))
    found = bench_model(compiled)
    layer = max(found["layers"], key=lambda one: one["real_macs"])
    return {
        "layer": name,
        "real": real,
        "target": target,
        "instructions": layer["instructions"],
        "per_mac": round(layer["instructions"] / layer["real_macs"], 3),
        "compiler": compiler(target),
    }


def missed(row: dict) -> bool:
    """Whether a row misses its goal."""
    wanted = GOALS.get((row["layer"], row["real"], row["target"]))
    return wanted is not None and row["per_mac"] > wanted


def page(rows: list[dict]) -> str:
    """docs/bench-real.md: a table per layer."""
    parts = []
    for name, layer in LAYERS.items():
        lines = ["| target | " + " | ".join(FORMATS) + " |", "| --- |" + " ---: |" * len(FORMATS)]
        for target in TARGETS:
            found = [
                r for real in FORMATS for r in rows if (r["layer"], r["real"], r["target"]) == (name, real, target)
            ]
            marks = ["**" if missed(row) else "" for row in found]
            cells = [f"{mark}{row['per_mac']:.2f}{mark}" for mark, row in zip(marks, found, strict=True)]
            lines.append(f"| {target} | " + " | ".join(cells) + " |")
        parts.append(f"## {layer.title}, 16x16\n\n" + "\n".join(lines) + "\n")
    return HEAD + "\n".join(parts)


def main() -> int:
    """Measure and write; the exit code."""
    rows = [measured(name, real, target) for name in LAYERS for target in TARGETS for real in FORMATS]
    RESULTS.write_text("[\n" + ",\n".join(f" {json.dumps(row)}" for row in rows) + "\n]\n", "utf-8")
    PAGE.write_text(page(rows), "utf-8")
    late = [row for row in rows if missed(row)]
    print("\n".join(f"MISSED {row}" for row in late) or f"{len(rows)} rows, every goal met")
    return bool(late)


if __name__ == "__main__":
    sys.exit(main())
