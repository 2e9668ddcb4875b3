"""Activations of numbers at which a formula as it stands overflows, or a sum loses a small result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models import Net, compiled, ort_session

from bnn2c.toolchain import build_shared


@pytest.mark.parametrize("op", ["Softplus", "Mish", "Sigmoid", "Tanh", "Elu", "Selu", "Gelu", "Softsign"])
def test_activations_of_numbers_that_are_large_or_small(op: str, tmp_path: Path) -> None:
    """Nothing overflows on the way, and a small result keeps its digits."""
    n = Net(opset=20)
    values = np.float32([[-200, -89, -60, -17, -3, -1e-3, 0, 1e-3, 3, 17, 60, 89, 100, 1e4]])
    model = n.model(n.add(op, n.input([1, values.size])))
    found, (wanted,) = compiled(model), ort_session(model)([values])
    (got,) = build_shared(found.files, found.manifest, tmp_path).run([values])
    # The absolute error of onnxruntime's Sigmoid and Tanh is larger than their smallest results.
    absolute = {"Softplus": 0.0, "Softsign": 0.0}.get(op, 2e-6)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=absolute)
    np.testing.assert_allclose(found.reference([values])[0], wanted, rtol=1e-5, atol=absolute)
