"""Fits the cost tables of bit-sliced channels, channel steps and population counts; prints coefficients and errors.

    python bench/fit_costs.py [CORE ...]

Every shape of networks.py is run by the family on one target per kind of core. Errors are relative, so that small
layers count as much as large ones.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import networks
import numpy as np

from bnn2c import pipeline
from bnn2c.bench import bench_model
from bnn2c.ir import Graph
from bnn2c.kernels import channel_steps, popcount_lanes, popcount_rows, sliced_channels, table_rows
from bnn2c.kernels.shape import ConvShape
from bnn2c.options import Options
from bnn2c.passes.choose_kernels import Choice, convert
from bnn2c.targets import Target


@dataclass(frozen=True)
class Core:
    """A row of a cost table, and the target that it is fitted on."""

    family: str
    key: str
    lane_words: int
    target: str

    def features(self, shape: ConvShape) -> tuple[float, ...]:
        """What the coefficients are multiplied with."""
        if self.family == "sliced_channels":
            return sliced_channels.work(shape, True, self.lane_words)
        if self.family == "channel_steps":
            return channel_steps.work(shape, self.key)
        if self.family == "table_rows":
            return table_rows.work(shape)
        if self.family == "popcount_lanes":
            return popcount_lanes.work(shape)
        return popcount_rows.work(shape, self.key)

    def shapes(self) -> dict[str, networks.Conv]:
        """What it is fitted on."""
        if self.key == "avx512":
            return VECTORS
        more = TABLES if self.family == "table_rows" else MORE
        return STEPS if self.family == "channel_steps" else {**networks.LAYERS, **more}


CORES = {
    "cortex-m": Core("sliced_channels", "cortex-m", 1, "cortex-m4"),
    "cortex-m0": Core("sliced_channels", "cortex-m0", 1, "cortex-m0"),
    "rv32": Core("sliced_channels", "rv32", 1, "rv32imc"),
    "rv32-pairs": Core("sliced_channels", "rv32", 2, "rv32imc"),
    "cortex-m-vectors": Core("sliced_channels", "cortex-m", 4, "cortex-m55"),
    "avx2": Core("sliced_channels", "x86", 8, "x86_64_avx2"),
    "zbb": Core("popcount_rows", "zbb", 1, "rv32imc_zbb"),
    "aarch64": Core("popcount_rows", "aarch64", 1, "aarch64"),
    "armv7": Core("popcount_rows", "armv7", 1, "cortex-a7"),
    "popcnt": Core("popcount_rows", "x86", 1, "x86_64_avx2"),
    "avx2-tables": Core("table_rows", "x86", 8, "x86_64_avx2"),
    "avx512": Core("popcount_lanes", "avx512", 8, "x86_64_avx512"),
    "avx512-rows": Core("popcount_rows", "avx512", 1, "x86_64_avx512"),
    "cortex-m-steps": Core("channel_steps", "cortex-m", 1, "cortex-m4"),
    "cortex-m0-steps": Core("channel_steps", "cortex-m0", 1, "cortex-m0"),
    "rv32-steps": Core("channel_steps", "rv32", 2, "rv32imc"),
    "cortex-m55-steps": Core("channel_steps", "cortex-m55", 4, "cortex-m55"),
    "aarch64-steps": Core("channel_steps", "aarch64", 4, "aarch64"),
    "armv7-steps": Core("channel_steps", "armv7", 4, "cortex-a7"),
    "avx2-steps": Core("channel_steps", "x86", 8, "x86_64_avx2"),
}
TABLES = {
    "narrow": networks.Conv(32, 32, size=8),
    "40 inputs": networks.Conv(40, 64, size=8),
    "128->128": networks.Conv(128, 128, size=10, pad=0),
    "128->256": networks.Conv(128, 256, size=5, pad=0),
    "256->256": networks.Conv(256, 256, size=3, pad=0),
    "256->512": networks.Conv(256, 512, dense=True),
    "512->512": networks.Conv(512, 512, dense=True),
}
VECTORS = {  # none of them is a row of bench.md, which checks the result
    **TABLES,
    "1x1 of 128": networks.Conv(128, 64, size=7, kernel=1, pad=0),
    "5x5 32->96": networks.Conv(32, 96, size=9, kernel=5, pad=2),
    "96->64 stride 2": networks.Conv(96, 64, size=11, stride=2),
    "12x12": networks.Conv(size=12, pad=0),
    "64->32": networks.Conv(64, 32, size=12),
}
MORE = {"narrow": networks.Conv(32, 32, size=8), "dense 256": networks.Conv(256, 256, dense=True)}


STEPS = {
    "1x1": networks.LAYERS["C 1x1"],
    "1x1 of 32": networks.Conv(32, 32, kernel=1, pad=0),
    "1x1 of 128": networks.Conv(128, 128, kernel=1, pad=0),
    "1x1 of 256": networks.Conv(256, 256, size=8, kernel=1, pad=0),
    "1x1 48->96": networks.Conv(48, 96, kernel=1, pad=0),
    "1x1 stride 2": networks.Conv(kernel=1, stride=2, pad=0),
    "3x3 of 16": networks.Conv(16, 32, pad=0),
    "3x3 of 36": networks.Conv(36, 64, pad=0),
}


def shape_of(layer: networks.Conv) -> ConvShape:
    """The geometry that the cost model sees."""
    if layer.dense:
        return ConvShape.dense(layer.inputs, layer.outputs)
    size, out, k = layer.size, layer.output_size, layer.kernel
    geometry = (layer.stride, layer.stride, layer.pad, layer.pad)
    return ConvShape(size, size, layer.inputs, out, out, layer.outputs, k, k, *geometry)


def count(layer: networks.Conv, core: Core) -> int:
    """Instructions of the layer when the family runs it."""

    def forced(graph: Graph, device: Target, optimize: str, runs: float) -> Iterator[Graph]:
        families = dict.fromkeys(graph.types, core.family)
        raw = [node.output for node in graph.nodes if getattr(node.op, "thresholds", 0) is None]
        families |= dict.fromkeys(raw, "sliced_channels")
        yield convert(graph, Choice(families, core.lane_words, 0))

    before, pipeline.kernel_choices = pipeline.kernel_choices, forced
    try:
        compiled = pipeline.compile_model(networks.one_layer(layer), Options(target=core.target, name="net"))
    finally:
        pipeline.kernel_choices = before
    rows = bench_model(compiled)["layers"]
    return max(rows, key=lambda one: one["binary_macs"])["instructions"]


def main() -> None:
    """Measure and fit."""
    for name in sys.argv[1:] or CORES:
        core = CORES[name]
        shapes = core.shapes()
        counts = np.array([count(layer, core) for layer in shapes.values()], float)
        known = np.array([core.features(shape_of(layer)) for layer in shapes.values()])
        found = np.linalg.lstsq(known / counts[:, None], np.ones(len(counts)), rcond=None)[0]
        errors = known @ found / counts - 1
        print(f"{core.family} {core.key}, {core.lane_words}: {', '.join(f'{value:.2f}' for value in found)}")
        print("  " + ", ".join(f"{n} {error:+.1%}" for n, error in zip(shapes, errors, strict=True)), flush=True)


if __name__ == "__main__":
    main()
