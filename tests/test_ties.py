"""Sums that are exactly 0 although scales and levels are no powers of two, and where thresholds may not move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from models import Array, Net, compiled, ort_session

from bnn2c.ir.graph import outputs
from bnn2c.toolchain import build_shared

THIRD, TENTH = np.float32(1 / 3), np.float32(0.1)


def signs(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).choice(np.float32([-1, 1]), shape)


def step(n: Net, x: str) -> str:
    return n.add("Where", n.add("GreaterOrEqual", x, 0.0), 1.0, -1.0)


def agree(model: onnx.ModelProto, samples: list[Array], folder: Path) -> list[str]:
    """onnxruntime = the final graph = C, bit for bit; the operations of the final graph."""
    found, run = compiled(model), ort_session(model)
    library = build_shared(found.files, found.manifest, folder)
    for x in samples:
        for one, two, wanted in zip(outputs(found.final, [x]), library.run([x]), run([x]), strict=True):
            np.testing.assert_array_equal(one, wanted)
            np.testing.assert_array_equal(two.reshape(wanted.shape), wanted)
    return [layer["op"] for layer in found.manifest["layers"]]


def tenths(n: Net, x: str) -> str:
    """Levels -0.3, -0.2, … 0.4: multiples of 0.1 up to rounding."""
    return n.add("Mul", n.add("Round", n.clip(n.add("Mul", x, 3.0), -3.0, 4.0)), TENTH)


@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1]])
def test_a_sum_of_zeros_is_zero_in_any_unit(pads: list[int], tmp_path: Path) -> None:
    """All levels are 0: every runtime gets exactly 0, borders included, and 0 >= 0."""
    n = Net()
    x = tenths(n, n.input([1, 3, 5, 5]))
    x = step(n, n.add("Conv", x, THIRD * signs(1, 9, 3, 3, 3), pads=pads))
    model = n.model(n.add("Conv", x, signs(2, 4, 9, 1, 1)))
    found = agree(model, [np.zeros((1, 3, 5, 5), np.float32)], tmp_path)
    assert "conv2d" not in found and "sign_conv2d" not in found


@pytest.mark.parametrize("size", [6, 10])
@pytest.mark.parametrize("op", ["GlobalAveragePool", "AveragePool", "ReduceMean"])
def test_a_mean_of_as_many_ones_as_minus_ones_is_zero(op: str, size: int, tmp_path: Path) -> None:
    n = Net()
    x = step(n, n.input([1, 2, size, size]))
    attrs = {"GlobalAveragePool": {}, "AveragePool": {"kernel_shape": [size, size]}, "ReduceMean": {"axes": [2, 3]}}
    model = n.model(n.add("Sign", n.add(op, x, **attrs[op])))
    balanced = signs(3, 1, 2, size, size)
    balanced.reshape(2, 2, -1)[:, 1] = -balanced.reshape(2, 2, -1)[:, 0]
    agree(model, [balanced, signs(4, 1, 2, size, size)], tmp_path)


def test_signs_before_a_real_layer_come_from_thresholds(tmp_path: Path) -> None:
    """A real layer reads the sign of an integer sum: the tie is the table's, not that of float32 arithmetic in C."""
    n, rng = Net(), np.random.default_rng(5)
    x = n.add("MatMul", step(n, n.input([1, 12])), THIRD * signs(6, 12, 17))
    x = n.add("Sub", x, np.float32(2 * THIRD) * np.ones(17, np.float32))
    model = n.model(n.add("MatMul", n.add("Sign", x), rng.integers(-90, 90, (17, 3)).astype(np.float32)))
    found = compiled(model)
    library = build_shared(found.files, found.manifest, tmp_path)
    for seed in range(20):
        x = signs(seed, 1, 12)
        np.testing.assert_array_equal(library.run([x])[0], outputs(found.final, [x])[0])


@pytest.mark.parametrize("stride", [1, 2])
def test_thresholds_per_pixel_stay_behind_the_pool(stride: int, tmp_path: Path) -> None:
    """BatchNormalization of a flattened map differs from pixel to pixel; windows share pixels of the map before it."""
    n, rng = Net(), np.random.default_rng(7)
    x = n.add("Conv", step(n, n.input([1, 2, 8, 8])), signs(8, 5, 2, 3, 3))
    x = n.add("MaxPool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[stride, stride])
    size = 5 * (6 // stride) ** 2
    flat = n.chain(n.add("Flatten", x), ("Mul", signs(9, size)), ("Add", rng.integers(-9, 9, size).astype(np.float32)))
    model = n.model(n.add("MatMul", step(n, flat), signs(10, size, 4)))
    found = agree(model, [signs(seed, 1, 2, 8, 8) for seed in range(6)], tmp_path)
    assert "quantize" in found[1:] and "sign_conv2d" not in found, "the dense layer is binary too"


def padded(n: Net, bias: Array, **attrs: Any) -> str:
    """Scores of whole numbers plus a real bias; the border has its own corrections."""
    x = step(n, n.input([1, 3, 4, 5]))
    return n.add("Conv", x, signs(11, len(bias), 3, 3, 3), bias, pads=[1, 1, 1, 1], **attrs)


BIAS = np.random.default_rng(12).standard_normal(6).astype(np.float32)
IMAGES = [signs(seed, 1, 3, 4, 5) for seed in range(30)] + [np.ones((1, 3, 4, 5), np.float32)]


def test_whole_numbers_and_a_real_bias_are_rounded_once(tmp_path: Path) -> None:
    """As in the model: the correction of a border is never rounded together with the bias."""
    n = Net()
    agree(n.model(padded(n, BIAS)), IMAGES, tmp_path)


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_the_largest_position_is_found_among_integers(op: str, tmp_path: Path) -> None:
    """Equal scores at the border and inside are equal integers: the first of them wins."""
    n = Net()
    scores = n.reshape(n.add("Mul", padded(n, BIAS), -0.5 * np.ones((6, 1, 1))), 1, 6, 20)
    model = n.model(n.add(op, scores, axis=2), element=onnx.TensorProto.INT64)
    assert agree(model, IMAGES, tmp_path)[-1] == "arg_max"
    assert {kind.storage for kind in compiled(model).final.types.values()} == {"f32", "bits", "i16", "i32"}


def test_scores_that_differ_by_a_constant_per_class_are_integers(tmp_path: Path) -> None:
    n = Net()
    x = n.add("MatMul", step(n, n.input([1, 14])), signs(13, 14, 5))
    x = n.add("Mul", n.add("Add", x, np.float32([1, 3, -2, 0.5, 0])), np.float32(0.1))
    model = n.model(n.add("ArgMax", x, axis=1), element=onnx.TensorProto.INT64)
    agree(model, [signs(seed, 1, 14) for seed in range(40)], tmp_path)
    found = compiled(model)
    assert [kind.storage for kind in found.final.types.values()].count("f32") == 1, "the input only"


def test_the_best_positions_of_a_padded_map(tmp_path: Path) -> None:
    n = Net()
    scores = n.reshape(padded(n, BIAS), 1, 6, 20)
    n.add("TopK", scores, np.array([3]), count=2, axis=2)
    values, places = n.nodes[-1].output
    last = n.cast(places)
    agree(n.model(values, last), IMAGES, tmp_path)


def test_scores_of_zero_are_zero_in_every_channel(tmp_path: Path) -> None:
    """Sums of zeros and ones are centred channel by channel: no rounding in C decides the smallest of equal scores."""
    n = Net()
    bits = n.add("Where", n.add("Greater", n.input([1, 2, 4, 5]), 0.0), 1.0, 0.0)
    weights = np.float32([[0, 0.25], [-0.5, 0.5], [0.5, 0.25], [-0.25, 0.25]]).reshape(4, 2, 1, 1)
    scores = n.add("Div", n.add("Mul", n.add("Conv", bits, weights), 3.0), np.float32(0.3))
    n.add("TopK", scores, np.array([1]), count=2, axis=1, largest=0)
    values, places = n.nodes[-1].output
    model = n.model(values, n.cast(places))
    agree(model, [np.full((1, 2, 4, 5), value, np.float32) for value in (-1, 1)], tmp_path)


def test_pixels_of_equal_sums_are_equal_at_the_border_too(tmp_path: Path) -> None:
    """Zeros and ones times +-scale: what the padding leaves out is a whole number until it is scaled."""
    n, rng = Net(), np.random.default_rng(0)
    ones = n.add("Where", n.add("Greater", n.input([1, 6, 7, 5]), 0.0), 1.0, 0.0)
    weights, scale = signs(6, 10, 6, 3, 3), rng.uniform(0.01, 2, (10, 1, 1)).astype(np.float32)
    found = compiled(
        n.model(n.add("Add", n.add("Conv", ones, scale[..., None] * weights, pads=[1] * 4), 100 * scale[::-1]))
    )
    library = build_shared(found.files, found.manifest, tmp_path)
    x = rng.standard_normal((1, 6, 7, 5)).astype(np.float32)
    given = np.pad(np.float64(x[0] > 0), ((0, 0), (1, 1), (1, 1)))
    sums = sum(
        np.einsum("oi,ihw->ohw", weights[..., i, j], given[:, i : i + 7, j : j + 5]) for i, j in np.ndindex(3, 3)
    )
    for made, exact in zip(library.run([x])[0].reshape(10, -1), sums.reshape(10, -1), strict=True):
        assert len(set(zip(made.tolist(), exact.tolist(), strict=True))) == len(set(exact.tolist())) > 5


@pytest.mark.parametrize("unit", [1e-45, 1e-30, -1e-9])
def test_a_tiny_value_that_never_changes_is_not_zero(unit: float, tmp_path: Path) -> None:
    """`clip(x, 5, 6) > 4` always: the layer has one value, and the signs of its sums are those of sums of weights."""
    n = Net()
    always = n.add("Greater", n.clip(n.input([1, 4]), 5.0, 6.0), 4.0)
    sums = n.add("MatMul", n.add("Where", always, np.float32(unit), 1.0), signs(8, 4, 6))
    model = n.model(n.add("MatMul", n.add("Sign", sums), signs(9, 6, 5)))
    agree(model, [np.zeros((1, 4), np.float32)], tmp_path)


def test_small_levels_are_not_lost_next_to_large_ones(tmp_path: Path) -> None:
    """Levels 1e30 and -1: where all are -1 the sums are small whole numbers, and their signs count."""
    n = Net()
    inside = n.add("Less", n.add("Abs", n.input([1, 12])), 0.5)
    sums = n.add("MatMul", n.add("Where", inside, np.float32(1e30), -1.0), signs(3, 12, 7) * (signs(4, 12, 7) + 1) / 2)
    model = n.model(n.add("MatMul", n.add("Sign", sums), signs(5, 7, 5)), sums)
    agree(model, [np.full((1, 12), value, np.float32) for value in (-1, 1, 3)], tmp_path)
