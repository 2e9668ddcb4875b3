"""What the value analysis finds out, and that nothing it does changes a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from models import SCALE, Array, Net, batch_norm, compiled, ort_session, random_layer, random_pixels, real

from bnn2c.ir.graph import outputs
from bnn2c.kernels.alternatives import binary_part
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.quantize import Quantize
from bnn2c.pipeline import Compiled
from bnn2c.toolchain import build_shared


def rng_of(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def check(
    model: onnx.ModelProto, count: int = 12, draw: Callable[[np.random.Generator], Array] | None = None, **options: Any
) -> Compiled:
    """onnxruntime = imported graph = final graph, bit for bit; the compilation."""
    found, run, rng = compiled(model, **options), ort_session(model), rng_of(9)
    shape = found.manifest["inputs"][0]["shape"]
    for _ in range(count):
        x = draw(rng) if draw else rng.integers(-4, 5, shape).astype(np.float32) / 2
        reference = run([real(x) if x.dtype == np.uint8 else x])
        for graph in (found.imported, found.final):
            for one, wanted in zip(outputs(graph, [x]), reference, strict=True):
                np.testing.assert_array_equal(one, wanted.astype(one.dtype))
    return found


def kinds(found: Compiled) -> list[str]:
    return [layer["op"] for layer in found.manifest["layers"]]


def macs(found: Compiled) -> tuple[int, int]:
    layers = found.manifest["layers"]
    return sum(layer["binary_macs"] for layer in layers), sum(layer["real_macs"] for layer in layers)


def codes(found: Compiled) -> list[str]:
    return [warning.code for warning in found.report_data["warnings"]]


def binary(found: Compiled) -> list[BinaryConv2d]:
    return [part for node in found.final.nodes if (part := binary_part(node.op)) is not None]


def dense(rng: np.random.Generator, out: int, inputs: int, values: Sequence[float] = (-1, 1)) -> Array:
    return rng.choice(values, (inputs, out)).astype(np.float32)


# --- activations ------------------------------------------------------------------------------------------------------


def after_activation(
    act: Callable[[Net, str], str], fan_in: int = 40, weights: Sequence[float] = (-1, 1)
) -> onnx.ModelProto:
    n, rng = Net(), rng_of(1)
    return n.model(n.add("MatMul", act(n, n.input([1, fan_in])), dense(rng, 7, fan_in, weights)), shape=[1, 7])


TWO_VALUED: dict[str, Callable[[Net, str], str]] = {
    "larq": lambda n, x: n.chain(x, ("Sign",), ("Add", 0.1), ("Sign",)),
    "where": lambda n, x: n.add("Where", n.add("GreaterOrEqual", x, 0.0), 1.0, -1.0),
    "bipolar": lambda n, x: n.add("BipolarQuant", x, 0.5, domain="qonnx.custom_op.general"),
    "scaled": lambda n, x: n.add("Mul", n.add("Where", n.add("Less", x, 0.25), -1.0, 1.0), 0.3),
    "unsigned": lambda n, x: n.cast(n.add("Greater", x, 0.5)),
    "any two": lambda n, x: n.add("Where", n.add("Greater", x, 0.5), 3.25, 0.75),
}


@pytest.mark.parametrize("act", TWO_VALUED)
def test_two_valued_activations_take_one_bit(act: str) -> None:
    found = compiled(after_activation(TWO_VALUED[act]))
    (layer,) = binary(found)
    assert layer.coefficients == ((1,),) and macs(found) == (280, 0)
    run = ort_session(after_activation(TWO_VALUED[act]))
    for _ in range(8):
        x = rng_of(3).integers(-4, 5, (1, 40)).astype(np.float32) / 4
        np.testing.assert_allclose(found.reference([x])[0], run([x])[0], rtol=1e-6, atol=1e-5)


def test_three_valued_sign_takes_two_bits_and_is_reported() -> None:
    found = check(after_activation(lambda n, x: n.add("Sign", x)))
    assert binary(found)[0].coefficients == ((1, 2),) and "BNN017" in codes(found)


@pytest.mark.parametrize("side", [1, -1])
def test_sign_zero_says_what_training_meant(side: int) -> None:
    found = compiled(after_activation(lambda n, x: n.add("Sign", x)), sign_zero=side)
    assert binary(found)[0].coefficients == ((1,),) and "BNN017" not in codes(found)
    meant = after_activation(
        lambda n, x: n.add("Where", n.add("GreaterOrEqual" if side > 0 else "Greater", x, 0.0), 1.0, -1.0)
    )
    x = rng_of(2).integers(-1, 2, (1, 40)).astype(np.float32)
    np.testing.assert_array_equal(found.reference([x])[0], ort_session(meant)([x])[0])


def test_sign_of_an_odd_dot_product_cannot_be_zero() -> None:
    n, rng = Net(), rng_of(4)
    first = n.add("MatMul", TWO_VALUED["where"](n, n.input([1, 33])), dense(rng, 12, 33))
    found = check(n.model(n.add("MatMul", n.add("Sign", first), dense(rng, 5, 12))))
    assert all(layer.coefficients == ((1,),) for layer in binary(found)) and "BNN017" not in codes(found)


def test_sign_of_an_even_dot_product_can() -> None:
    n, rng = Net(), rng_of(4)
    first = n.add("MatMul", TWO_VALUED["where"](n, n.input([1, 32])), dense(rng, 12, 32))
    found = check(n.model(n.add("MatMul", n.add("Sign", first), dense(rng, 5, 12))))
    assert binary(found)[1].coefficients == ((1, 2),) and "BNN017" in codes(found)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_dorefa_activations(bits: int) -> None:
    steps = 2.0**bits - 1
    model = after_activation(lambda n, x: n.chain(n.clip(x, 0.0, 1.0), ("Mul", steps), ("Round",), ("Div", steps)))
    found, run = compiled(model), ort_session(model)
    assert len(binary(found)[0].coefficients[0]) == bits and macs(found)[1] == 0
    for seed in range(8):
        x = rng_of(seed).uniform(-0.5, 1.5, (1, 40)).astype(np.float32)
        np.testing.assert_allclose(found.reference([x])[0], run([x])[0], rtol=1e-5, atol=1e-5)


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "planes"), [((-1, 1), 1), ((-0.3, 0.3), 1), ((-1, 0, 1), 2), ((0, 1), 2), ((-3, -1, 1, 3), 2)]
)
def test_weights_are_classified_by_value(values: Sequence[float], planes: int) -> None:
    model = after_activation(TWO_VALUED["where"], weights=values)
    found, run = compiled(model, optimize="size"), ort_session(model)
    assert len(binary(found)[0].coefficients) == planes and macs(found)[1] == 0
    x = rng_of(5).standard_normal((1, 40)).astype(np.float32)
    np.testing.assert_allclose(found.reference([x])[0], run([x])[0], rtol=1e-6, atol=1e-5)


def test_an_exact_zero_is_never_a_sign() -> None:
    n, weights = Net(), dense(rng_of(6), 4, 20)
    weights[3, 2] = 0.0
    found = check(n.model(n.add("MatMul", TWO_VALUED["where"](n, n.input([1, 20])), weights)), optimize="size")
    assert len(binary(found)[0].coefficients) == 2


def test_zero_one_weights_and_activations() -> None:
    found = check(after_activation(TWO_VALUED["unsigned"], weights=(0, 1)))
    assert macs(found)[1] == 0


def test_real_weights_stay_real_and_say_why() -> None:
    n = Net()
    found = compiled(
        n.model(n.add("MatMul", TWO_VALUED["where"](n, n.input([1, 9])), rng_of().standard_normal((9, 4))))
    )
    assert macs(found) == (0, 36)
    assert any("real" in reason for layer in found.report_data["layers"] for reason in layer["why"])


# --- normalisation ----------------------------------------------------------------------------------------------------


def normalised(gamma: Sequence[float], beta: Sequence[float], mean: float = 0.0, pool: bool = False) -> onnx.ModelProto:
    """Binary convolution, BatchNormalization with these numbers, sign, dense."""
    n, rng, size = Net(), rng_of(7), len(gamma)
    x = n.add("Conv", TWO_VALUED["where"](n, n.input([1, 3, 6, 6])), dense(rng, 27, size).reshape(size, 3, 3, 3))
    x = n.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]) if pool else x
    ones = np.ones(size, np.float32)
    x = n.add("BatchNormalization", x, np.float32(gamma), np.float32(beta), mean * ones, ones, epsilon=0.0)
    x = n.add("Flatten", n.add("Where", n.add("Less", x, 0.0), -1.0, 1.0))
    return n.model(n.add("MatMul", x, dense(rng, 5, size * (4 if pool else 16))))


@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize("gamma", [[1, 0.5, 2], [-1, -0.5, -2], [1, -1, 0.25]])
def test_gamma_of_either_sign(gamma: list[float], pool: bool) -> None:
    found = check(normalised(gamma, [0.25, -3.0, 1.0], 1.0, pool))
    assert macs(found)[1] == 0 and all(layer.thresholds is not None for layer in binary(found)[:1])


def test_zero_gamma_and_dead_channels_are_reported() -> None:
    found = check(normalised([0.0, 0.0, 1.0, 1.0, 1.0], [1.0, -1.0, 100.0, -100.0, 0.5]))
    assert "BNN015" in codes(found)
    assert any("constant channels: 4 of 5" in w.message for w in found.report_data["warnings"])


def test_negative_alpha_of_a_fused_normalisation() -> None:
    """torch.export folds BatchNormalization: weights a[c] * sign with a[c] of both signs, and a bias."""
    n, rng = Net(), rng_of(8)
    alpha = np.float32([0.37, -1.21, 0.043, -0.9])
    weights = rng.choice([-1, 1], (4, 3, 3, 3)).astype(np.float32) * alpha.reshape(-1, 1, 1, 1)
    x = n.add(
        "Conv",
        TWO_VALUED["where"](n, n.input([1, 3, 6, 6])),
        weights,
        np.float32([0.11, 0.7, -0.013, 0.4]),
        pads=[1] * 4,
    )
    x = n.add("Where", n.add("GreaterOrEqual", x, 0.0), 1.0, -1.0)
    found = check(n.model(n.add("Flatten", x)))
    assert macs(found) == (4 * 27 * 36, 0) and binary(found)[0].coefficients == ((1,),)


def test_a_tie_of_a_fused_layer_follows_real_arithmetic() -> None:
    """0.1 * dot - 0.7 is 0 at dot = 7: float32 sums of 0.1 may fall on either side, real arithmetic does not."""
    n = Net()
    weights = np.full((9, 1), np.float32(0.1))
    x = n.add("Add", n.add("MatMul", TWO_VALUED["where"](n, n.input([1, 9])), weights), np.float32([-0.7]))
    found = compiled(n.model(n.add("Where", n.add("GreaterOrEqual", x, 0.0), 1.0, -1.0)))
    for minus in range(10):
        feed = np.where(np.arange(9) < minus, -1, 1).astype(np.float32)[None]
        exact = float(np.float32(0.1)) * (9 - 2 * minus) - float(np.float32(0.7))
        rounded = float(np.float32(np.float32(float(np.float32(0.1)) * (9 - 2 * minus)) + np.float32(-0.7)))
        assert found.reference([feed])[0].item() == (1.0 if rounded >= 0 else -1.0)
        assert (rounded >= 0) == (exact >= 0) or abs(exact) < 1e-6


def test_values_that_rounding_decides_are_counted() -> None:
    """0.1 * 3 is 0.3 in float32 and less in float64."""
    n = Net()
    x = n.add("MatMul", TWO_VALUED["where"](n, n.input([1, 9])), np.ones((9, 1), np.float32))
    x = n.chain(x, ("Mul", 0.1), ("Sub", 0.3))
    x = n.add("Where", n.add("GreaterOrEqual", x, 0.0), 1.0, -1.0)
    found = check(n.model(n.add("MatMul", x, np.ones((1, 3), np.float32))), 30)
    assert "BNN013" in codes(found)
    assert sum(layer.get("rounding_pairs", 0) for layer in found.report_data["layers"]) == 1
    assert sum(layer.get("evaluated_pairs", 0) for layer in found.report_data["layers"]) >= 10


def test_a_chain_that_is_not_monotone_is_exact() -> None:
    """|bn(dot)| < 2: an interval, neither an up-set nor a down-set."""
    n, rng = Net(), rng_of(10)
    x = n.add("MatMul", TWO_VALUED["where"](n, n.input([1, 21])), dense(rng, 8, 21))
    x = n.add("Less", n.add("Abs", n.add("Sub", n.add("Mul", x, 0.5), 0.25)), 2.0)
    x = n.add("MatMul", n.add("Where", x, 1.0, -1.0), dense(rng, 4, 8))
    found = check(n.model(x), 30)
    assert macs(found)[1] == 0 and "quantize" in kinds(found)
    step = next(node.op for node in found.final.nodes if isinstance(node.op, Quantize) and node.op.breaks.shape[-1] > 1)
    assert step.codes.shape[-1] == 3


def test_prelu_with_a_negative_slope_is_not_monotone_either() -> None:
    n, rng = Net(), rng_of(11)
    x = n.add("MatMul", TWO_VALUED["where"](n, n.input([1, 21])), dense(rng, 8, 21))
    x = n.add("Sub", n.add("PRelu", x, np.full(8, -0.5, np.float32)), 2.25)
    found = check(n.model(n.add("MatMul", n.add("Where", n.add("Less", x, 0.0), -1.0, 1.0), dense(rng, 4, 8))), 30)
    assert macs(found)[1] == 0


# --- padding ----------------------------------------------------------------------------------------------------------

PADS = [[0, 0, 0, 0], [1, 1, 1, 1], [2, 0, 1, 1], [0, 1, 0, 0], [2, 2, 2, 2]]


def convolved(
    pads: list[int], value: float | None, act: str = "where", groups: int = 1, **attrs: Any
) -> onnx.ModelProto:
    n, rng = Net(), rng_of(12)
    x = TWO_VALUED[act](n, n.input([1, 4, 5, 6]))
    weights = rng.choice([-1, 1], (6, 4 // groups, 3, 3)).astype(np.float32)
    if value is None:
        x = n.add("Conv", x, weights, pads=pads, group=groups, **attrs)
    else:
        padded = n.pad(x, [0, 0, *pads[:2], 0, 0, *pads[2:]], value)
        x = n.add("Conv", padded, weights, group=groups, **attrs)
    x = n.add("Where", n.add("GreaterOrEqual", n.add("Sub", x, 0.5), 0.0), 1.0, -1.0)
    return n.model(n.add("Conv", x, rng.choice([-1, 1], (3, 6, 1, 1)).astype(np.float32)))


@pytest.mark.parametrize("value", [None, 0.0, 1.0, -1.0, 0.5, 7.0])
@pytest.mark.parametrize("pads", PADS[1:], ids=str)
def test_padding_costs_no_copy(pads: list[int], value: float | None) -> None:
    found = check(convolved(pads, value))
    assert macs(found)[1] == 0
    assert kinds(found).count("rearrange") <= 2  # channels first to channels last, and back
    assert binary(found)[0].window.pads == tuple(pads)


@pytest.mark.parametrize("pads", PADS, ids=str)
@pytest.mark.parametrize("act", ["unsigned", "any two"])
def test_zero_padding_of_other_alphabets(act: str, pads: list[int]) -> None:
    found = check(convolved(pads, None, act))
    assert macs(found)[1] == 0


@pytest.mark.parametrize(
    "attrs", [{"strides": [2, 1]}, {"dilations": [1, 2]}, {"strides": [2, 2], "dilations": [2, 1]}], ids=str
)
@pytest.mark.parametrize("groups", [1, 2])
def test_zero_padding_with_strides_dilations_and_groups(attrs: dict[str, Any], groups: int) -> None:
    found = check(convolved([1, 2, 2, 1], None, "where", groups, **attrs))
    assert macs(found)[1] == 0


def test_border_classes_are_counted() -> None:
    found = check(convolved([1, 1, 1, 1], None))
    thresholds = binary(found)[0].thresholds
    assert thresholds is not None and thresholds.shape[:2] == (3, 3)


# --- inputs and outputs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [0.0, 1e-5])
def test_batch_normalisation_has_the_bits_of_the_reference(epsilon: float) -> None:
    """Every decision is a tie with a number that onnxruntime computed."""
    rng, n = rng_of(16), Net()
    gamma, beta, mean, var = (rng.standard_normal(2000).astype(np.float32) for _ in range(4))
    y = n.add(
        "BatchNormalization", n.input([1, 2000]), gamma, beta, mean, np.abs(var) + np.float32(0.1), epsilon=epsilon
    )
    x = rng.integers(-9, 10, (1, 2000)).astype(np.float32)
    (wanted,) = ort_session(n.model(y))([x])
    np.testing.assert_array_equal(compiled(n.model(y)).reference([x])[0], wanted)
    found = compiled(n.model(n.add("Where", n.add("Greater", y, wanted), 1.0, -1.0)))
    assert (found.reference([x])[0] == -1).all()


def test_pixels_with_two_valued_weights_are_integers() -> None:
    n, rng, layer = Net(), rng_of(13), random_layer(rng_of(13), 9, 40)
    x = batch_norm(n, n.add("MatMul", n.add("Sub", n.input([1, 40]), 0.5), layer.weights.T), layer)
    model = n.model(n.add("MatMul", n.add("Sign", x), dense(rng, 4, 9)))
    found, run = compiled(model, input_scale=SCALE), ort_session(model)
    assert macs(found)[1] == 0 and any("integer" in layer["kernel"] for layer in found.manifest["layers"])
    for seed in range(10):
        pixels = random_pixels(rng_of(seed), 1, 40)
        np.testing.assert_array_equal(found.reference([pixels])[0], run([real(pixels)])[0])


def test_real_inputs_with_two_valued_weights_are_only_added() -> None:
    n = Net()
    found = compiled(n.model(n.add("MatMul", n.input([1, 40]), dense(rng_of(14), 7, 40))))
    assert kinds(found)[0] == "sign_conv2d" and macs(found) == (280, 0)


def test_what_ternary_weights_leave_out_takes_no_digits(tmp_path: Path) -> None:
    """Half of the inputs are beyond all others, and no weight reads them; their sums decide signs, too."""
    n, rng = Net(), rng_of(15)
    weights = rng.integers(-1, 2, (7, 40)).astype(np.float32)
    weights[:, ::2] = 0
    y = n.add("MatMul", n.input([1, 40]), weights.T)
    found = check(n.model(y, n.add("Sign", n.add("Add", y, 0.5))), draw=lambda r: _far_apart(r, 40))
    assert "ternary_conv2d" in kinds(found) and macs(found) == (280, 0)
    library = build_shared(found.files, found.manifest, tmp_path)
    for _ in range(3):
        x = _far_apart(rng, 40)
        for one, wanted in zip(library.run([x]), found.reference([x]), strict=True):
            np.testing.assert_array_equal(one, wanted)


def _far_apart(rng: np.random.Generator, size: int) -> Array:
    x = rng.integers(-4, 5, (1, size)).astype(np.float32) / 2
    x[:, ::2] *= np.float32(2.0**80)
    return x


def test_class_numbers_are_compared_as_integers() -> None:
    n, rng = Net(), rng_of(15)
    x = n.chain(TWO_VALUED["where"](n, n.input([1, 33])), ("MatMul", dense(rng, 6, 33)), ("Mul", 0.37), ("Add", 1.5))
    found = check(n.model(n.add("ArgMax", x, axis=1, keepdims=0), element=onnx.TensorProto.INT64), 40)
    assert kinds(found)[-1] == "best_channel" and "map" not in kinds(found)


def test_class_numbers_of_channels_with_their_own_scale_are_compared_as_reals() -> None:
    n, rng = Net(), rng_of(16)
    x = n.chain(
        TWO_VALUED["where"](n, n.input([1, 33])), ("MatMul", dense(rng, 3, 33)), ("Mul", np.float32([1, 0.5, 0.25]))
    )
    found = check(n.model(n.add("ArgMax", x, axis=1), element=onnx.TensorProto.INT64), 40)
    assert kinds(found)[-2:] == ["mapped_conv2d", "arg_max"]


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("last", [0, 1])
def test_ties_between_classes(op: str, last: int, sign: float) -> None:
    n = Net()
    weights = np.repeat(dense(rng_of(17), 3, 8), 2, axis=1)
    x = n.add("Mul", n.add("MatMul", TWO_VALUED["where"](n, n.input([1, 8])), weights), sign)
    attrs = {"axis": 1, "select_last_index": last}
    check(n.model(n.add(op, x, **attrs), element=onnx.TensorProto.INT64), 40)


def test_a_binary_output_an_intermediate_and_an_input_as_outputs() -> None:
    n, rng = Net(), rng_of(18)
    x = n.input([1, 20])
    s = n.add("Sign", x)
    y = n.add("MatMul", s, dense(rng, 4, 20))
    check(n.model(n.add("Sign", y), y, s, n.add("Identity", x)))


def test_one_binarised_tensor_is_packed_once() -> None:
    n, rng = Net(), rng_of(19)
    s = TWO_VALUED["where"](n, n.input([1, 40]))
    found = check(n.model(n.add("MatMul", s, dense(rng, 4, 40)), n.add("MatMul", s, dense(rng, 5, 40))))
    assert kinds(found).count("quantize") == 1


def test_scale_factors_are_never_executed_before_a_threshold() -> None:
    n, rng = Net(), rng_of(20)
    x = TWO_VALUED["scaled"](n, n.input([1, 40]))
    x = n.chain(x, ("MatMul", dense(rng, 12, 40)), ("Mul", 0.5), ("Add", 0.125), ("Div", 3.0))
    found = compiled(n.model(n.add("MatMul", n.add("Sign", x), dense(rng, 4, 12))))
    assert kinds(found) == ["quantize", "binary_conv2d", "mapped_conv2d"]


@pytest.mark.parametrize("scale", [SCALE, 1 / 256])
def test_a_pool_of_pixels(scale: float) -> None:
    """A pool that reads the input itself; the input's scale is one constant for all channels."""
    n, rng = Net(), rng_of()
    pooled = n.add("MaxPool", n.input([1, 16, 9]), kernel_shape=[3], strides=[2])
    y = n.add("Conv", n.add("Round", n.clip(pooled, -1.0, 1.0)), dense(rng, 8, 16).T[:, :, None])
    found, run = compiled(n.model(y, pooled), input_scale=scale), ort_session(n.model(y, pooled))
    for _ in range(8):
        pixels = random_pixels(rng, 1, 16, 9)
        for one, wanted in zip(found.reference([pixels]), run([np.float32(pixels * scale)]), strict=True):
            np.testing.assert_array_equal(one, wanted)


@pytest.mark.parametrize("op", ["Add", "Mul"])
@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize(("stride", "shape"), [(1, (8, 8)), (1, (8, 1)), (2, (4, 4)), (2, (1, 4))])
def test_what_differs_by_position_stays_behind_the_pool(
    op: str, stride: int, shape: tuple[int, ...], same: bool
) -> None:
    """A window's elements are not where its maximum goes: `max f(x) + c[y][x]` is no pool of `f(x) + c`."""
    n, rng = Net(), rng_of()
    x = n.add("Conv", n.add("Sign", n.input([1, 3, 8, 8])), rng.choice([-1, 1], (4, 3, 3, 3)).astype(np.float32))
    x = n.add("Pad", x, np.asarray([0, 0, 1, 1, 0, 0, 1, 1]), np.float32(-40.0))
    x = n.add("MaxPool", x, kernel_shape=[3, 3], strides=[stride, stride], pads=[1, 1, 1, 1])
    constant = np.full(shape, 1.5) if same else rng.integers(-6, 7, shape) + 0.5  # or alike, but written for each
    x = n.add("Sign", n.add(op, x, constant.astype(np.float32)))
    check(n.model(n.add("Conv", x, rng.choice([-1, 1], (5, 4, 3, 3)).astype(np.float32))))


@pytest.mark.parametrize("tail", ["weights", "sum", "levels"])
@pytest.mark.parametrize("pads", [0, 1])
def test_ties_of_scaled_sums_are_decided_by_integers(tail: str, pads: int, tmp_path: Path) -> None:
    """A sign of `a[c] * dot` that real layers read: +1 at every tie, in numpy and in C, whatever a[c] rounds to."""
    n, rng = Net(), rng_of()
    scale = rng.uniform(0.1, 2, (16, 1, 1, 1)).astype(np.float32)
    signs = rng.choice([-1, 1], (16, 3, 2, 1)).astype(np.float32)
    x = n.add("Mul", n.add("Where", n.add("Less", n.input([1, 3, 6, 5]), 0.0), -1.0, 1.0), np.float32(0.1))
    sums = n.add("Conv", x, signs * scale, pads=[pads] * 4)
    decided = n.add("Where", n.add("Less", sums, 0.0), -1.0, 1.0)
    if tail == "weights":
        y = n.add("Conv", decided, rng.standard_normal((4, 16, 1, 1)).astype(np.float32))
    elif tail == "sum":
        y = n.add("Add", n.add("Mul", decided, 8.0), sums)
    else:
        y = n.add("Round", n.clip(n.add("Div", sums, scale.reshape(16, 1, 1) * np.float32(0.2)), -3.0, 3.0))
    model = n.model(y)
    found = compiled(model)
    library = build_shared(found.files, found.manifest, tmp_path)
    exact = signs.astype(np.float64)
    for _ in range(4):
        sample = rng.standard_normal((1, 3, 6, 5)).astype(np.float32)
        got = library.run([sample])[0]
        np.testing.assert_allclose(got, found.reference([sample])[0], rtol=1e-5, atol=1e-5)
        if tail == "sum":
            given = np.pad(np.where(sample[0] < 0, -1, 1), ((0, 0), (pads, pads), (pads, pads)))
            windows = np.lib.stride_tricks.sliding_window_view(given, (2, 1), (1, 2))
            dots = np.einsum("chwij,ocij->ohw", windows, exact)
            np.testing.assert_array_equal(got[0] > 0, dots >= 0)


@pytest.mark.parametrize("value", [0.0, 0.5])
@pytest.mark.parametrize("spelling", ["equal", "not", "cast"])
def test_equality_with_one_real_number(spelling: str, value: float) -> None:
    """`x == c` is a step up and down again at a single number, which no bisection from the ends meets."""
    n, rng = Net(), rng_of()
    x = n.add("Sub", n.input([1, 40]), value)
    if spelling == "equal":
        hit = n.add("Equal", x, 0.0)
    else:
        hit = n.add("Cast", x, to=onnx.TensorProto.BOOL)
        hit = n.add("Not", hit) if spelling == "not" else hit
    bits = n.add("Where", hit, 1.0, -1.0)
    check(n.model(n.add("MatMul", bits, dense(rng, 8, 40))))


@pytest.mark.parametrize("channels", [75, 256])
def test_pixels_with_constants_of_their_own_per_channel(channels: int) -> None:
    """As many channels as a byte has values: what differs by channel is not taken for a table of values."""
    n, rng = Net(), rng_of()
    x = n.add("Add", n.input([1, channels]), (rng.integers(-8, 9, channels) / 4).astype(np.float32))
    model = n.model(n.add("MatMul", x, dense(rng, 6, channels)))
    found, run = compiled(model, input_scale=1 / 256), ort_session(model)
    for _ in range(4):
        pixels = random_pixels(rng, 1, channels)
        wanted = run([np.float32(pixels / 256)])[0]
        np.testing.assert_allclose(found.reference([pixels])[0], wanted, rtol=1e-5, atol=1e-4)
