"""Real tensors that a quantiser made multiples of one scale: bytes, and exact sums of whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from models import Array, Net, compiled, ort_session

from bnn2c.ir.graph import outputs
from bnn2c.toolchain import build_shared
from bnn2c.verify import verify_model

SCALE, ZERO = np.float32(0.03), np.int8(0)
Quantiser = Callable[[Net, str], str]


def qdq(n: Net, x: str, zero: Array = ZERO) -> str:
    return n.add("DequantizeLinear", n.add("QuantizeLinear", x, SCALE, zero), SCALE, zero)


def qdq_off_centre(n: Net, x: str) -> str:
    return qdq(n, x, np.uint8(100))


def quant(n: Net, x: str) -> str:
    operands = (SCALE, np.float32(0), np.float32(8))
    return n.add("Quant", x, *operands, domain="qonnx.custom_op.general", signed=1, narrow=1, rounding_mode="ROUND")


def rounded_and_moved(n: Net, x: str) -> str:
    """As a framework with its channels last writes it."""
    x = n.add("Round", n.clip(n.add("Div", n.add("Transpose", x, perm=[0, 2, 3, 1]), SCALE), -100.0, 100.0))
    return n.add("Mul", n.add("Transpose", x, perm=[0, 3, 1, 2]), SCALE)


def layer(quantise: Quantiser, weights: Array) -> Net:
    n = Net()
    n.add("Sign", n.add("Conv", quantise(n, n.input([1, 4, 6, 6])), SCALE * weights, pads=[1] * 4))
    return n


def whole(x: Array, low: int, high: int) -> Array:
    return np.clip(np.rint(x / SCALE), low, high)


@pytest.mark.parametrize("values", [(-1, 1), (-1, 0, 1)])
@pytest.mark.parametrize(
    ("quantise", "low", "high"),
    [(qdq, -128, 127), (qdq_off_centre, -100, 155), (quant, -127, 127), (rounded_and_moved, -100, 100)],
)
def test_sums_of_quantised_reals_are_whole_numbers(
    quantise: Quantiser, low: int, high: int, values: tuple[int, ...], tmp_path: Path
) -> None:
    """The sign of the sum is that of the sum of integers, zeros included, on which float32 sums do not agree."""
    rng = np.random.default_rng(len(values))
    weights = rng.choice(np.float32(values), (8, 4, 3, 3))
    n = layer(quantise, weights)
    found = compiled(n.model(n.nodes[-1].output[0], shape=[1, 8, 6, 6]))
    operations = [entry["op"] for entry in found.manifest["layers"]]
    assert "integer_conv2d" in str(operations) or "quantized_conv2d" in operations
    assert all(entry["real_macs"] == 0 for entry in found.manifest["layers"]) and "sign_conv2d" not in operations
    library, zeros = build_shared(found.files, found.manifest, tmp_path), 0
    for step in (1, 2, 300):
        x = (rng.integers(-3, 4, (1, 4, 6, 6)) * step * SCALE).astype(np.float32)
        padded = np.pad(whole(x, low, high), ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded[0], (3, 3), (1, 2))
        sums = np.einsum("cyxkl,ockl->oyx", windows, weights)
        zeros += int((sums == 0).sum())
        np.testing.assert_array_equal(outputs(found.final, [x])[0][0], np.sign(sums))
        np.testing.assert_array_equal(library.run([x])[0][0], np.sign(sums))
    assert zeros > 8


def test_many_ties_that_the_reference_rounds_are_no_mismatch(tmp_path: Path) -> None:
    """Sums that are 0 here are 1e-8 in onnxruntime; another layer hides which, and there are dozens of them."""
    rng = np.random.default_rng(0)
    n = layer(qdq, rng.choice(np.float32([-1, 0, 1]), (8, 4, 3, 3)))
    model = n.model(
        n.add("Conv", n.nodes[-1].output[0], rng.choice(np.float32([-1, 1]), (3, 8, 1, 1))), shape=[1, 3, 6, 6]
    )
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    x = (rng.integers(-2, 3, (4, 1, 4, 6, 6)) * SCALE).astype(np.float32)
    np.savez(tmp_path / "v.npz", input=x.reshape(4, 4, 6, 6))
    found = compiled(model)
    run = ort_session(model)
    assert max((outputs(found.final, [one])[0] != run([one])[0]).sum() for one in x) > 8
    (verdict,) = verify_model(found, tmp_path / "m.onnx", ["host"], tmp_path / "v.npz", 4)["results"]
    assert (verdict["mismatches"], verdict["rounding"]) == (0, 4)


def test_a_tie_does_not_excuse_another_number(tmp_path: Path) -> None:
    """The same network with one sign of the last layer turned is a mismatch in every sample."""
    rng = np.random.default_rng(0)
    n = layer(qdq, rng.choice(np.float32([-1, 0, 1]), (8, 4, 3, 3)))
    last = rng.choice(np.float32([-1, 1]), (3, 8, 1, 1))
    models = []
    for turned in (1, -1):
        last[1, 2] *= turned
        models.append(
            n.model(n.add("Conv", n.nodes[2].output[0] if turned < 0 else "v3", last.copy()), shape=[1, 3, 6, 6])
        )
    (tmp_path / "m.onnx").write_bytes(models[0].SerializeToString())
    x = (rng.integers(-2, 3, (4, 4, 6, 6)) * SCALE).astype(np.float32)
    np.savez(tmp_path / "v.npz", input=x)
    (verdict,) = verify_model(compiled(models[1]), tmp_path / "m.onnx", ["host"], tmp_path / "v.npz", 4)["results"]
    assert verdict["mismatches"] == 4


def test_fixed_point_keeps_the_smallest_byte() -> None:
    """-128 of a quantiser is -128 in fixed point, where formats are symmetric otherwise."""
    n, scale = Net(), np.float32(0.01)
    x = n.add("QuantizeLinear", n.input([1, 4, 1, 1]), scale, ZERO)
    weights = np.float32([1, -1, 1, -1]).reshape(1, 4, 1, 1)
    y = n.add("Sign", n.add("Conv", n.add("DequantizeLinear", x, scale, ZERO), weights))
    found = compiled(n.model(y, shape=[1, 1, 1, 1]), real="int16")
    x = np.float32([-2, -1.27, 0, 0]).reshape(1, 4, 1, 1)
    assert outputs(found.final, [x])[0].ravel()[0] == -round(1 / found.manifest["outputs"][0]["scale"])
