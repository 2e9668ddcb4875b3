"""Chains of affine operations that cannot be merged, because a constant of the merged one would be no float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models import Net, compiled, ort_session
from onnx import TensorProto

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


def test_a_bias_is_not_lost_next_to_large_weights(tmp_path: Path) -> None:
    """Sums of 0 leave the bias, borders included, in channels whose weights are 1e20, 1e-30 or ordinary."""
    rng = np.random.default_rng(5)
    scale, bias = np.float32([1e20, 1e-30, 3, 1]), np.float32([-1.75, 2.5e-31, 0.3, 0])
    signs = rng.choice(np.float32([-1, 1]), (4, 2, 3, 3))
    n = Net()
    x = n.add("Where", n.add("GreaterOrEqual", n.input([1, 2, 6, 6]), 0.0), 1.0, -1.0)
    model = n.model(n.add("Conv", x, signs * scale.reshape(-1, 1, 1, 1), bias, pads=[1] * 4))
    found = compiled(model)
    library, zeros = build_shared(found.files, found.manifest, tmp_path), np.zeros(4)
    for seed in range(6):
        values = np.random.default_rng(seed).choice(np.float32([-1, 1]), (1, 2, 6, 6))
        padded = np.pad(values, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded[0], (3, 3), (1, 2))
        sums = np.einsum("cyxkl,ockl->oyx", windows, signs).astype(np.float64)
        real = sums * scale.reshape(-1, 1, 1) + bias.reshape(-1, 1, 1)
        np.testing.assert_allclose(library.run([values])[0][0], real, rtol=3e-7, atol=0)
        zeros += (sums == 0).sum(axis=(1, 2))
    assert (zeros > 8).all()


def test_a_difference_is_not_divided_before_it_is_taken(tmp_path: Path) -> None:
    """`(x - 2) / 1e-38` is finite where `x * 1e38 - 2e38` is not."""
    n = Net()
    model = n.model(n.add("Div", n.add("Sub", n.input([1, 5]), 2.0), np.float32(1e-38)))
    found, reference = compiled(model), ort_session(model)
    values = np.float32([[4.5, 5, 2, -1, 4.75]])
    library = build_shared(found.files, found.manifest, tmp_path)
    got = library.run([values])[0].reshape(1, 5)
    assert np.isfinite(got).all()
    np.testing.assert_array_equal(got, reference([values])[0])


def test_sums_with_factors_too_large_to_be_merged_cancel_exactly(tmp_path: Path) -> None:
    """Sums of 600 signs near 0, times 1e30: the sum is whole until it is scaled."""
    rng, n = np.random.default_rng(8), Net()
    signs = rng.choice(np.float32([-1, 1]), (600, 4))
    x = n.add("Where", n.add("GreaterOrEqual", n.input([1, 600]), 0.0), 1.0, -1.0)
    scale, bias = rng.uniform(0.01, 0.1, (1, 4)), rng.uniform(-1, 1, (1, 4))
    model = n.model(n.add("Add", n.add("Mul", n.add("MatMul", x, 1e30 * signs), scale), bias))
    found, reference = compiled(model), ort_session(model)
    library = build_shared(found.files, found.manifest, tmp_path)
    for channel in range(4):
        values = signs[:, channel] * np.float32([1, -1] * 300)
        values[:2] = signs[:2, channel]
        (got,), (want,) = library.run([values.reshape(1, 600)]), reference([values.reshape(1, 600)])
        assert 0 < abs(want[0, channel]) < 1e30
        np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_scaled_sums_beyond_float32_are_infinite_without_a_warning() -> None:
    """No line of numpy stands between those of the command; nothing is NaN where the sum is 0."""
    n = Net()
    x = n.add("Where", n.add("GreaterOrEqual", n.input([1, 40]), 0.0), 1.0, -1.0)
    signs = np.random.default_rng(9).choice(np.float32([-1, 1]), (40, 3))
    found = compiled(
        n.model(n.add("Mul", n.add("MatMul", x, np.float32(3.4e38) * signs), np.float32([[1, 0.5, 1e-3]])))
    )
    (got,) = found.reference([signs[:, :1].reshape(1, 40)])
    assert got.ravel()[0] == np.inf
    (got,) = found.reference([(signs[:, 0] * np.float32([1, -1] * 20)).reshape(1, 40)])
    assert got.ravel()[0] == 0


@pytest.mark.parametrize("chosen", ["max", "third", "pooled"])
def test_an_element_is_as_large_as_it_is_where_it_was_chosen(tmp_path: Path, chosen: str) -> None:
    """`x == max(x)` and `x >= TopK(x)`: both sides are the same float32 numbers, although x is computed twice."""
    rng, n = np.random.default_rng(0), Net()
    scale, *shifts = (rng.standard_normal((1, 9, 1)).astype(np.float32) for _ in range(3))
    weights = rng.standard_normal((9, 9, 1)).astype(np.float32)
    x = n.add("Conv", n.input([1, 9, 11]), weights)
    x = n.chain(x, ("Add", shifts[0]), ("Mul", scale), ("Add", shifts[1]))
    if chosen == "third":
        largest = n.add("TopK", x, np.array([3]), count=2)
        largest = n.add("Slice", largest, np.array([2]), np.array([3]), np.array([2]))
    elif chosen == "max":
        largest = n.add("ReduceMax", x, axes=[2])
    else:
        largest = n.add("MaxPool", x, kernel_shape=[11])
    hits = n.add("GreaterOrEqual", x, largest)
    found = compiled(n.model(n.cast(hits, TensorProto.INT32), element=TensorProto.INT32))
    library = build_shared(found.files, found.manifest, tmp_path)
    for _ in range(8):
        values = rng.standard_normal((1, 9, 11)).astype(np.float32)
        np.testing.assert_array_equal(
            library.run([values])[0].sum(axis=-1).ravel(), [3 if chosen == "third" else 1] * 9
        )
