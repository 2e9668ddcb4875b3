"""Random graphs through the whole oracle chain: onnxruntime = imported graph = final graph = C on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from models import compiled, ort_session
from random_graphs import networks

from bnn2c.ir.graph import outputs
from bnn2c.toolchain import build_shared

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def check(model: onnx.ModelProto, optimize: str = "balanced") -> None:
    """All stages agree bit for bit on inputs that are multiples of 1/8, zeros included."""
    found, reference, rng = compiled(model, optimize=optimize), ort_session(model), np.random.default_rng(0)
    shape = found.manifest["inputs"][0]["shape"]
    with tempfile.TemporaryDirectory() as folder:
        library = build_shared(found.files, found.manifest, Path(folder), opt="-O0")
        for _ in range(4):
            x = rng.integers(-16, 17, shape).astype(np.float32) / 8
            wanted = reference([x])
            stages = {"imported": outputs(found.imported, [x]), "final": found.reference([x]), "C": library.run([x])}
            for stage, values in stages.items():
                for one, expected in zip(values, wanted, strict=True):
                    np.testing.assert_array_equal(one, expected, err_msg=stage)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=QUIET, database=None)
@given(networks())
def test_random_graphs(model: onnx.ModelProto) -> None:
    check(model)


@pytest.mark.fuzz
@pytest.mark.parametrize("optimize", ["size", "balanced", "speed"])
@settings(max_examples=1000, deadline=None, suppress_health_check=QUIET, print_blob=True)
@given(networks())
def test_many_random_graphs(optimize: str, model: onnx.ModelProto) -> None:
    check(model, optimize)
