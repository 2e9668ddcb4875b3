"""Chains of affine operations that cannot be merged, because a constant of the merged one would be no float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models import Net, compiled, ort_session

from bnn2c.toolchain import build_shared


@pytest.mark.filterwarnings("error")
def test_factors_whose_product_overflows(tmp_path: Path) -> None:
    """Channels whose scales overflow: infinity as in the reference, no NaN; the other channels as always."""
    n = Net()
    x = n.add("Sub", n.input([1, 3, 2, 2]), 0.25)
    for factor in (1e30, 1e30, 2.0):
        x = n.add("Mul", x, np.float32([factor, 1, -factor]).reshape(1, 3, 1, 1))
    x = n.add("Add", n.add("Div", x, np.float32([1, 0.5, 1e-30]).reshape(1, 3, 1, 1)), 1.0)
    model = n.model(x)
    found, reference = compiled(model), ort_session(model)
    library = build_shared(found.files, found.manifest, tmp_path)
    for seed in range(4):
        values = (np.random.default_rng(seed).integers(-8, 9, [1, 3, 2, 2]) / 8).astype(np.float32)
        np.testing.assert_array_equal(library.run([values])[0], reference([values])[0])


@pytest.mark.filterwarnings("error")
def test_a_constant_that_is_zero_divides(tmp_path: Path) -> None:
    n = Net()
    model = n.model(n.add("Div", n.add("Mul", n.input([1, 4]), 3.0), np.float32([[0, 1, 0, 2]])))
    found, reference = compiled(model), ort_session(model)
    values = np.float32([[1, 2, -4, 3]])
    library = build_shared(found.files, found.manifest, tmp_path)
    np.testing.assert_array_equal(library.run([values])[0], reference([values])[0])
