"""Fits the coefficients of the cost model to the counts in bench/results.json; prints them, and how far off they are.

    python bench/fit_costs.py

Errors are relative, so that small layers count as much as large ones.
"""

from __future__ import annotations

import json

import diff
import networks
import numpy as np

from bnn2c.kernels.alternatives import cost_key
from bnn2c.kernels.shape import ConvShape
from bnn2c.kernels.sliced_channels import planes_of
from bnn2c.targets import load_target

FAMILY = "sliced_channels"
NAMES = ("per weight word", "per digit and block", "per patch word", "per pixel")
SCALAR = ("cortex-m", "cortex-m0", "rv32")  # one word of lanes


def shape_of(layer: networks.Conv) -> ConvShape:
    """The geometry that the cost model sees."""
    if layer.dense:
        return ConvShape.dense(layer.inputs, layer.outputs)
    size, out, k = layer.size, layer.output_size, layer.kernel
    geometry = (layer.stride, layer.stride, layer.pad, layer.pad)
    return ConvShape(size, size, layer.inputs, out, out, layer.outputs, k, k, *geometry)


def features(shape: ConvShape) -> list[float]:
    """What the coefficients of bit-sliced channels are multiplied with."""
    blocks, words, pixels = -(-shape.out_c // 32), -(-shape.taps // 32), shape.out_h * shape.out_w
    return [pixels * n for n in (blocks * words * 32, blocks * planes_of(shape, True), words, 1)]


def main() -> None:
    """Fit each row of the cost table that has counts."""
    rows = [row for row in json.loads(diff.RESULTS.read_text("utf-8")) if row["kernel"] == FAMILY]
    for key in SCALAR:
        chosen = [row for row in rows if cost_key(load_target(row["target"])) == key]
        counts = np.array([row["instructions"] for row in chosen], float)
        known = np.array([features(shape_of(networks.LAYERS[row["network"]])) for row in chosen])
        if len(chosen) < len(NAMES):
            continue
        found = np.linalg.lstsq(known / counts[:, None], np.ones(len(counts)), rcond=None)[0]
        errors = known @ found / counts - 1
        print(key, ", ".join(f"{name} {value:.2f}" for name, value in zip(NAMES, found, strict=True)))
        for row, error in zip(chosen, errors, strict=True):
            print(f"  {row['key']}: {error:+.1%}")


if __name__ == "__main__":
    main()
