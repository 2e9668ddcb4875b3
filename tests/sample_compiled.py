"""A made-up compilation result, so that the command line and the report can be tested without the compiler."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bnn2c.errors import Diagnostic

LAYERS: list[tuple[str, str, list[int], int, int, int, int]] = [
    ("input", "input_pack", [28, 28, 1], 0, 0, 0, 784),
    ("conv1", "binary_conv2d", [26, 26, 64], 389_376, 0, 640, 5_408),
    ("pool1", "max_pool_bits", [13, 13, 64], 0, 0, 0, 1_352),
    ("conv2", "binary_conv2d", [11, 11, 128], 8_921_088, 0, 9_728, 1_936),
    ("/features/features.7/conv3/Conv_quant", "binary_conv2d", [9, 9, 128], 11_943_936, 0, 18_944, 1_296),
    ("fc1", "binary_dense", [1, 1, 256], 2_654_208, 0, 83_968, 32),
    ("logits", "real_dense", [1, 1, 10], 0, 2_560, 10_280, 40),
    ("softmax", "softmax", [1, 1, 10], 0, 0, 0, 40),
]


def manifest(prefix: str = "kws") -> dict[str, Any]:
    """A manifest as the compiler writes it."""
    layers = [
        {
            "index": i,
            "name": name,
            "op": op,
            "kernel": f"bnn2c_{op}",
            "output_shape": shape,
            "binary_macs": binary,
            "real_macs": real,
            "weight_bytes": weights,
            "onnx_nodes": [f"{name}/Conv", f"{name}/BatchNormalization", f"{name}/Sign"] if weights else [],
        }
        for i, (name, op, shape, binary, real, weights, _) in enumerate(LAYERS)
    ]
    return {
        "schema": 1,
        "prefix": prefix,
        "model_sha256": "5f" * 32,
        "target": "cortex-m4",
        "inputs": [{"name": "image", "c_name": "image", "dtype": "uint8", "shape": [1, 28, 28], "bytes": 784}],
        "outputs": [{"name": "probs", "c_name": "probs", "dtype": "float32", "shape": [10], "bytes": 40}],
        "arena_bytes": 6_760,
        "arena_align": 8,
        "stack_bytes": 312,
        "weights_bytes": sum(layer["weight_bytes"] for layer in layers),
        "layers": layers,
        "warnings": [],
        "files": {f"{prefix}.c": "00" * 32, f"{prefix}.h": "11" * 32},
    }


def report_data() -> dict[str, Any]:
    """Facts as the compiler hands them to the report."""
    offsets = [0, 784, 0, 1352, 3288, 0, 32, 72]
    facts: list[dict[str, Any]] = [
        {
            "why": [f"the operand of {name} takes two values, split at 0", "the weights take two values per channel"],
            "evaluated_pairs": 64 * shape[2] if binary else 0,
        }
        for name, _, shape, binary, _, _, _ in LAYERS
    ]
    facts[3]["rounding"] = [{"channel": 17, "value": -4, "note": "float32 +1, float64 -1"}]
    facts[5]["dead_channels"] = [3, 200]
    last = len(LAYERS) - 1
    memory = [
        {"name": name, "offset": offsets[i], "bytes": size, "first": i, "last": min(i + 1, last)}
        for i, (name, *_, size) in enumerate(LAYERS)
    ]
    warning = Diagnostic(
        "BNN015",
        "2 of 256 channels are dead",
        node="fc1/Sign",
        why="their threshold lies outside of -1152..1152",
        hint="look at gamma of the BatchNormalization before it",
        severity="warning",
    )
    return {"layers": facts, "warnings": [warning], "memory": memory}


@dataclass
class SampleCompiled:
    """Stands in for `bnn2c.pipeline.Compiled`."""

    prefix: str = "kws"
    manifest: dict[str, Any] = field(init=False)
    report_data: dict[str, Any] = field(default_factory=report_data)

    def __post_init__(self) -> None:
        self.manifest = manifest(self.prefix)

    @property
    def files(self) -> dict[str, str]:
        """Two small files."""
        header = f"{self.prefix}.h"
        return {
            f"{self.prefix}.c": f'#include "{header}"\nint five(void) {{ return 5; }}\n',
            header: "int five(void);\n",
        }
