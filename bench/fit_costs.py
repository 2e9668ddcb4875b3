"""Fits the cost table of bnn2c/kernels/sliced_channels.py to counts; prints coefficients and errors.

    python bench/fit_costs.py [CORE ...]

Every shape of networks.py is run by this family on one target per kind of core. Errors are relative, so that small
layers count as much as large ones.
"""

from __future__ import annotations

import sys

import networks
import numpy as np

from bnn2c import pipeline
from bnn2c.bench import bench_model
from bnn2c.ir import Graph
from bnn2c.kernels.shape import ConvShape
from bnn2c.kernels.sliced_channels import planes_of
from bnn2c.options import Options
from bnn2c.passes.choose_kernels import Choice, convert
from bnn2c.targets import Target

NAMES = ("per weight", "per digit", "per patch word", "per pixel")
CORES = {  # key of the cost table, words per lane: a target
    "cortex-m": (1, "cortex-m4"),
    "cortex-m0": (1, "cortex-m0"),
    "rv32": (1, "rv32imc"),
    "rv32 pairs": (2, "rv32imc"),
    "cortex-m vectors": (4, "cortex-m55"),
    "x86": (8, "x86_64_avx2"),
}
MORE = {"narrow": networks.Conv(32, 32, size=8), "dense 256": networks.Conv(256, 256, dense=True)}


def shape_of(layer: networks.Conv) -> ConvShape:
    """The geometry that the cost model sees."""
    if layer.dense:
        return ConvShape.dense(layer.inputs, layer.outputs)
    size, out, k = layer.size, layer.output_size, layer.kernel
    geometry = (layer.stride, layer.stride, layer.pad, layer.pad)
    return ConvShape(size, size, layer.inputs, out, out, layer.outputs, k, k, *geometry)


def features(shape: ConvShape, lane_words: int) -> list[float]:
    """What the coefficients are multiplied with."""
    blocks, words, pixels = -(-shape.out_c // (32 * lane_words)), -(-shape.taps // 32), shape.out_h * shape.out_w
    return [pixels * n for n in (blocks * words * 32, blocks * planes_of(shape, True), words, 1)]


def count(layer: networks.Conv, lane_words: int, target: str) -> int:
    """Instructions of the layer when bit-sliced channels run it."""

    def sliced(graph: Graph, device: Target, optimize: str) -> Graph:
        names = {node.output: "sliced_channels" for node in graph.nodes}
        return convert(graph, Choice(names, lane_words, 0), device)

    before, pipeline.choose_kernels = pipeline.choose_kernels, sliced
    try:
        compiled = pipeline.compile_model(networks.one_layer(layer), Options(target=target, name="net"))
    finally:
        pipeline.choose_kernels = before
    rows = bench_model(compiled)["layers"]
    return max(rows, key=lambda one: one["binary_macs"])["instructions"]


def main() -> None:
    """Measure and fit."""
    shapes = {**networks.LAYERS, **MORE}
    for core in sys.argv[1:] or CORES:
        lane_words, target = CORES[core]
        counts = np.array([count(layer, lane_words, target) for layer in shapes.values()], float)
        known = np.array([features(shape_of(layer), lane_words) for layer in shapes.values()])
        found = np.linalg.lstsq(known / counts[:, None], np.ones(len(counts)), rcond=None)[0]
        errors = known @ found / counts - 1
        print(core, lane_words, ", ".join(f"{n} {value:.2f}" for n, value in zip(NAMES, found, strict=True)))
        print("  " + ", ".join(f"{n} {error:+.1%}" for n, error in zip(shapes, errors, strict=True)), flush=True)


if __name__ == "__main__":
    main()
