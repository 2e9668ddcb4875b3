"""Fixed point: agreement with float32, bit-exact C, no float symbol, and the pieces that it is made of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from fixed_point_models import Net, bireal, reactnet, real_head, xnornet_k
from onnx import helper, numpy_helper
from strict import WARNINGS

from bnn2c.analysis.steps import classes_of
from bnn2c.errors import CompileError
from bnn2c.expr import Arg, Expr, apply, const, evaluate
from bnn2c.fixed_point.alike import joined
from bnn2c.fixed_point.answers import class_axis, same_answers
from bnn2c.fixed_point.calibrate import Spread, limit
from bnn2c.fixed_point.expressions import compile_expression
from bnn2c.fixed_point.formats import Format, NotFixed, Number
from bnn2c.fixed_point.weights import integer_weights, rescaling
from bnn2c.ops.fixed_softmax import FixedSoftmax
from bnn2c.options import CALIBRATE_METHODS, Options
from bnn2c.pipeline import Compiled, compile_model
from bnn2c.targets import load_target
from bnn2c.toolchain import ToolchainMissing, build_shared, model_sizes, require_tools, run_on_target

NETWORKS = {"bireal": bireal, "reactnet": reactnet, "xnornet_k": xnornet_k}
LEAST = {"int16": 0.99, "int8": 0.97}
SAMPLES = 100


def pixels(count: int, seed: int, shape: tuple[int, ...] = (1, 1, 12, 12)) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.uint8)


def vectors(folder: Path, data: np.ndarray[Any, Any], name: str = "calibration.npz") -> Path:
    np.savez(folder / name, input=data)
    return folder / name


def fixed(model: onnx.ModelProto, folder: Path, real: str, **more: Any) -> Compiled:
    calibrate = vectors(folder, pixels(48, 1))
    return compile_model(model, Options(name="net", real=real, calibrate=calibrate, input_scale=1 / 255, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize("real", LEAST)
@pytest.mark.parametrize("name", NETWORKS)
def test_agreement_with_float32_on_held_out_vectors(name: str, real: str, tmp_path: Path) -> None:
    model = NETWORKS[name]()
    exact = compile_model(model, Options(name="net", real="float32", input_scale=1 / 255))
    small = fixed(model, tmp_path, real)
    held_out = pixels(SAMPLES, 2)
    same = [exact.reference([x])[0].argmax() == small.reference([x])[0].argmax() for x in held_out]
    assert np.mean(same) >= LEAST[real]
    assert {kind.storage for kind in small.final.types.values()}.isdisjoint({"f32"})


@pytest.mark.parametrize("real", LEAST)
@pytest.mark.parametrize("name", [*NETWORKS, "real_head"])
def test_c_is_the_integer_reference(name: str, real: str, tmp_path: Path) -> None:
    compiled = fixed({**NETWORKS, "real_head": real_head}[name](), tmp_path, real)
    library = build_shared(compiled.files, compiled.manifest, tmp_path / "build", opt="-O1")
    for x in pixels(4, 3):
        for found, wanted in zip(library.run([x]), compiled.reference([x]), strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.cross
@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4", "rv32imc"])
def test_targets_are_exact_and_link_no_float(target: str, tmp_path: Path) -> None:
    try:
        require_tools(load_target(target))
    except ToolchainMissing as error:
        pytest.skip(str(error))
    compiled = fixed(real_head(), tmp_path, "int8", target=target)
    given = [[x] for x in pixels(2, 4)]
    run = run_on_target(compiled.files, compiled.manifest, load_target(target), given, tmp_path / "build", count=False)
    for found, x in zip(run.outputs, given, strict=True):
        np.testing.assert_array_equal(found[0], compiled.reference(x)[0])
    parts = ("f2", "fadd", "fmul", "fdiv", "exp")
    needed = model_sizes(compiled.files, load_target(target), tmp_path).undefined
    floats = [name for name in needed if any(part in name for part in parts)]
    assert floats == []


def test_outputs_carry_their_scale(tmp_path: Path) -> None:
    compiled = fixed(bireal(), tmp_path, "int16")
    (port,) = compiled.manifest["outputs"]
    assert port["dtype"] == "int16"
    (told,) = re.findall(r"#define NET_OUTPUT_LOGITS_SCALE (\S+)f ", compiled.files["net.h"])
    assert np.float32(told) == np.float32(port["scale"])
    exact = compile_model(bireal(), Options(name="net", real="float32", input_scale=1 / 255))
    x = pixels(1, 5)[0]
    real, whole = exact.reference([x])[0], compiled.reference([x])[0]
    assert np.abs(whole * port["scale"] - real).max() < 0.05 * np.abs(real).max()


def test_summary_tells_snr_and_agreement(tmp_path: Path) -> None:
    summary = fixed(bireal(), tmp_path, "int16").manifest["fixed_point"]
    assert summary["agreement"] >= 0.99 and summary["real"] == "int16"
    assert all(one["snr_db"] is None or one["snr_db"] > 15 for one in summary["values"])


def test_auto_is_int16_without_fpu_when_calibrated(tmp_path: Path) -> None:
    assert "fixed_point" in fixed(bireal(), tmp_path, "auto", target="cortex-m0").manifest
    assert "fixed_point" not in fixed(bireal(), tmp_path, "auto", target="cortex-m4").manifest
    plain = compile_model(bireal(), Options(name="net", target="cortex-m0", input_scale=1 / 255))
    assert "fixed_point" not in plain.manifest


def test_random_calibration_is_said(tmp_path: Path) -> None:
    compiled = compile_model(bireal(), Options(name="net", real="int16", input_scale=1 / 255))
    assert "BNN027" in [one.code for one in compiled.report_data["warnings"]]


@pytest.mark.parametrize("real", ["int16", "int8"])
def test_values_that_are_never_finite_have_no_range(real: str) -> None:
    """exp(x + 1000) is infinite for every vector: it stays in float32, and nothing in the summary is NaN."""
    n = models.Net()
    x = n.add("Exp", n.add("Add", n.input([1, 3, 4]), 1000.0))
    found = compile_model(n.model(n.add("ReduceSum", x, np.array([2]), keepdims=0)), Options(name="net", real=real))
    assert "BNN026" in [one.code for one in found.report_data["warnings"]]
    json.dumps(found.manifest, allow_nan=False)


def test_constants_that_rounding_makes_equal_are_not_looked_up(tmp_path: Path) -> None:
    """Factors of 1e-9 that differ by row and column are 0 in int16: no class of rows is left, and nothing is unused."""
    n = models.Net()
    small = np.linspace(1e-9, 5e-9, 20).reshape(4, 5)
    found = compile_model(
        n.model(n.add("Relu", n.add("Add", n.add("Mul", n.input([1, 2, 4, 5]), small), 1.0))),
        Options(name="net", real="int16"),
    )
    library = build_shared(found.files, found.manifest, tmp_path, cflags=WARNINGS)
    x = np.ones((1, 2, 4, 5), np.float32)
    np.testing.assert_array_equal(library.run([x])[0], found.reference([x])[0])
    assert found.manifest["weights_bytes"] == 0


@pytest.mark.parametrize("nothing", ["product", "difference"])
def test_operands_that_count_for_nothing_are_not_read(nothing: str, tmp_path: Path) -> None:
    """0 x > 0 and x - x > 0 compare no number."""
    n = models.Net()
    x, y = n.input([1, 2, 3, 4], "x"), n.input([1, 2, 3, 4], "y")
    folded = n.add("Relu", x)
    none = n.add("Mul", folded, 0.0) if nothing == "product" else n.add("Sub", folded, folded)
    found = compile_model(
        n.model(n.add("Add", n.cast(n.add("Greater", none, 0.0)), n.add("Mul", y, 0.5))),
        Options(name="net", real="int16"),
    )
    library = build_shared(found.files, found.manifest, tmp_path, cflags=WARNINGS)
    rng = np.random.default_rng(6)
    feeds = [rng.uniform(-1, 1, (1, 2, 3, 4)).astype(np.float32) for _ in "xy"]
    (real,) = library.run(feeds)
    np.testing.assert_array_equal(real, found.reference(feeds)[0])
    np.testing.assert_allclose(real * found.manifest["outputs"][0]["scale"], 0.5 * feeds[1], atol=1e-3)


@pytest.mark.parametrize("copy", ["Reshape", "MaxPool"])
def test_a_copy_of_an_input_that_is_only_compared_stays_float(copy: str, tmp_path: Path) -> None:
    """The input itself is also computed with: its copy was made of the integers, and compared with real thresholds."""
    n, rng = models.Net(), np.random.default_rng(5)
    x = n.input([1, 2, 4, 6])
    moved = n.reshape(x, 1, 48) if copy == "Reshape" else n.reshape(n.add("MaxPool", x, kernel_shape=[1, 1]), 1, 48)
    signs = n.add("Where", n.add("Greater", moved, rng.uniform(-1, 1, (1, 48))), 1.0, -1.0)
    scores = n.add("MatMul", signs, rng.choice([-1.0, 1.0], (48, 5)))
    model = n.model(scores, n.add("ReduceMean", n.add("Mul", x, x), axes=[1, 2, 3], keepdims=0))
    compiled = compile_model(model, Options(name="net", real="int16"))
    library = build_shared(compiled.files, compiled.manifest, tmp_path)
    for _ in range(4):
        feed = rng.uniform(-2, 2, (1, 2, 4, 6)).astype(np.float32)
        wanted = models.ort_session(model)([feed])[0].ravel()
        found, _ = library.run([feed])
        np.testing.assert_array_equal(found, compiled.reference([feed])[0])
        np.testing.assert_allclose(found.ravel() * compiled.manifest["outputs"][0]["scale"], wanted, atol=0.01 * 48)


@pytest.mark.parametrize("real", ["int16", "int8"])
@pytest.mark.parametrize("levels", [False, True], ids=["real", "binary"])
def test_padding_beyond_the_range_of_the_operand(levels: bool, real: str, tmp_path: Path) -> None:
    """Around numbers within 0.1 lie ones: they were saturated to the largest number of the operand, silently."""
    n, rng = models.Net(), np.random.default_rng(6)
    weights = rng.standard_normal((3, 2, 3, 3))
    x = n.pad(n.input([1, 2, 5, 6]), [0, 0, 1, 1, 0, 0, 1, 1], 1.0)
    model = n.model(n.add("Conv", x, np.sign(weights) if levels else weights))
    samples = rng.uniform(-0.1, 0.1, (20, 1, 2, 5, 6)).astype(np.float32)
    compiled = compile_model(model, Options(name="net", real=real, calibrate=vectors(tmp_path, samples)))
    (port,), run = compiled.manifest["outputs"], models.ort_session(model)
    assert port["dtype"] == "int16"
    for feed in samples[:4]:
        (wanted,) = run([feed])
        (found,) = compiled.reference([feed])
        np.testing.assert_allclose(found * port["scale"], wanted, atol=0.1 if real == "int8" else 0.002)


def test_padding_that_bytes_do_not_hold_stays_real(tmp_path: Path) -> None:
    """Pixels are used as they are, 0 … 255: around them lies -1 only in float32, and a warning says so."""
    n, rng = models.Net(), np.random.default_rng(6)
    x = n.pad(n.input([1, 1, 5, 6]), [0, 0, 1, 1, 0, 0, 1, 1], 2.0)
    model = n.model(n.add("Conv", x, rng.standard_normal((3, 1, 3, 3))))
    images = pixels(20, 3, (1, 1, 5, 6))
    options = Options(name="net", real="int16", calibrate=vectors(tmp_path, images), input_scale=1 / 255)
    compiled = compile_model(model, options)
    (port,) = compiled.manifest["outputs"]
    (found,), (wanted,) = compiled.reference([images[0]]), models.ort_run(model, [models.real(images[0])])
    np.testing.assert_allclose(found * port["scale"], wanted, atol=0.002)


def test_a_comparison_is_as_exact_as_its_finest_operand(tmp_path: Path) -> None:
    """Whole numbers times factors by channel, next to a number of 16 bits: it was compared to within 0.05."""
    n, rng = models.Net(), np.random.default_rng(8)
    x, z = n.input([1, 32, 8]), n.input([1, 32, 8], "z")
    gap = n.add("Sub", n.add("Mul", n.add("Round", n.add("Mul", x, 3.0)), rng.uniform(0.2, 0.4, (32, 1))), z)
    y = n.add("Where", n.add("Greater", n.add("Mul", gap, rng.uniform(0.5, 2.0, (32, 1))), 0.1), x, z)
    samples = [rng.uniform(-6, 6, (40, 1, 32, 8)).astype(np.float32) for _ in range(2)]
    np.savez(tmp_path / "two.npz", input=samples[0], input1=samples[1])
    found = compile_model(n.model(y), Options(name="net", real="int16", calibrate=tmp_path / "two.npz"))
    (port,), run = found.manifest["outputs"], models.ort_session(n.model(y))
    other = 0
    for feeds in zip(*samples, strict=True):
        off = np.abs(found.reference(feeds)[0] * port["scale"] - run(feeds)[0])
        other += int((off > 0.002).sum())
    assert other <= 0.001 * samples[0].size


def test_masked_numbers_have_no_share_of_a_softmax() -> None:
    """Each counted as exp(-11), and many of them took 0.2 % of the rest."""
    op = FixedSoftmax(step=65536, storage="i16")
    given = np.full((1, 1, 100), -32767, np.int16)
    given[0, 0, 7] = 32767
    found = op.reference(given).ravel()
    assert found[7] == 32767 and found.sum() == 32767


def test_wrong_vectors_are_refused(tmp_path: Path) -> None:
    wrong = vectors(tmp_path, pixels(3, 1, (1, 2, 12, 12)))
    with pytest.raises(CompileError, match="BNN022"):
        compile_model(bireal(), Options(name="net", real="int16", calibrate=wrong, input_scale=1 / 255))


@pytest.mark.parametrize("what", ["calibrate_method", "real", "min_agreement"])
def test_options_are_checked(what: str) -> None:
    with pytest.raises(CompileError):
        Options(**{what: 3 if what == "min_agreement" else "nothing"})  # type: ignore[arg-type]


def program_error(expr: Expr, low: float, high: float) -> float:
    """Largest error of a compiled expression of one int16 operand, relative to the range of the result."""
    scale, shape = max(-low, high) / 32767, (1, 1, 1)
    q = np.arange(round(low / scale), round(high / scale), 7).reshape(-1, 1, 1)
    ranges: dict[Expr, tuple[float, float]] = {}

    def note(e: Expr) -> None:
        found = evaluate(e, [(q * scale).astype(np.float32)])
        ranges[e] = (float(found.min()), float(found.max()))
        for inner in getattr(e, "args", ()):
            note(inner)

    note(expr)
    real = np.asarray(evaluate(expr, [q * scale], np.float64)).reshape(-1)
    out = Format("i16", 1.25 * float(np.abs(real).max()) / 32767)
    program = compile_expression(expr, shape, [Number(-1, scale, -32768, 32767)], ranges, out)
    assert classes_of(expr, shape).shape == (1, 1, 1)
    return float(np.abs(program.run([q]).reshape(-1) * out.scale - real).max() / np.abs(real).max())


@pytest.mark.parametrize(
    ("fn", "low", "high", "allowed"),
    [
        ("sigmoid", -8, 8, 1e-4),
        ("tanh", -4, 4, 1.5e-4),
        ("exp", -4, 2, 2e-4),
        ("erf", -3, 3, 2e-4),
        ("sqrt", 0.05, 4, 5e-4),
    ],
)
def test_curves_are_as_exact_as_documented(fn: str, low: float, high: float, allowed: float) -> None:
    assert program_error(apply(fn, Arg(0)), low, high) < allowed


def test_piecewise_linear_functions_are_exact_to_a_few_units() -> None:
    slope = apply("mul", const(0.25), Arg(0))
    prelu = apply("where", apply("lt", Arg(0), const(0.0)), slope, Arg(0))
    clip = apply("min", apply("max", apply("add", Arg(0), const(0.3)), const(-0.5)), const(0.75))
    folded = apply("abs", apply("sub", apply("neg", Arg(0)), const(0.1)))
    for expr in (prelu, clip, folded, apply("relu", Arg(0)), apply("mul", Arg(0), Arg(0))):
        assert program_error(expr, -1, 1) < 1.5e-4


@pytest.mark.parametrize("fn", ["tanh", "lt"])
def test_a_function_of_many_operands_reads_each(fn: str) -> None:
    """A sum of six values of one function: intermediate results of one operand are never taken for another's."""
    parts = [apply(fn, Arg(i), const(0.5)) if fn == "lt" else apply(fn, Arg(i)) for i in range(6)]
    expr = parts[0]
    for part in parts[1:]:
        expr = apply("add", expr, part)
    x = np.random.default_rng(1).integers(-300, 301, (6, 500, 1, 1))
    operands = [Number(-1, 0.01, -300, 300)] * 6
    program = compile_expression(expr, (1, 1, 1), operands, {}, Format("i16", 0.001))
    real = evaluate(expr, list(x * 0.01), np.float64)
    assert np.abs(program.run(list(x)) * 0.001 - real).max() < 0.01


def test_unknown_functions_are_refused() -> None:
    with pytest.raises(NotFixed):
        program_error(apply("fmod", Arg(0), apply("add", Arg(0), const(3.0))), -1, 1)


def test_accumulators_cannot_overflow() -> None:
    weights = np.random.default_rng(0).standard_normal((4, 3, 3, 512))
    given = Format("i16", 0.01)
    found = integer_weights(weights, np.full(4, 50.0), given, 32767)
    assert found.bound < 2**31
    scaled = rescaling(given.scale * found.scale / 0.02, found.bound)
    assert (scaled.shift >= 33).all() and (scaled.multiplier < 2**31).all()
    ratio = scaled.lift * scaled.multiplier / 2.0**scaled.shift
    np.testing.assert_allclose(ratio, given.scale * found.scale / 0.02, rtol=1e-8)


def test_calibration_methods_clip_outliers() -> None:
    values = np.concatenate([np.random.default_rng(0).standard_normal(20000) * 0.1, [3.0]]).astype(np.float32)
    spread = Spread()
    spread.add(values.reshape(-1, 1))
    spread.kept = [values]
    found = {method: limit(spread, 127, method) for method in CALIBRATE_METHODS}
    assert found["minmax"] == pytest.approx(3.0)
    assert found["percentile"] < 1.0 and found["mse"] < 2.9


def test_quantize_and_dequantize_linear_are_obeyed_exactly(tmp_path: Path) -> None:
    """QuantizeLinear -> DequantizeLinear -> two-valued convolution: integers, equal to the ONNX semantics."""
    rng = np.random.default_rng(0)
    weights = np.where(rng.standard_normal((4, 1, 3, 3)) > 0, 1, -1).astype(np.float32)
    constants = {"s": np.float32(0.05), "z": np.uint8(3), "w": weights}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Conv", ["d", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "qdq",
        [helper.make_tensor_value_info("x", 1, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("y", 1, [1, 4, 6, 6])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    compiled = compile_model(model, Options(name="net"))
    x = (rng.standard_normal((1, 1, 8, 8)) * 5).astype(np.float32)
    x[0, 0, 0, :4] = np.float32(0.05) * np.asarray([0.5, 1.5, 2.5, -0.5], np.float32)  # ties go to the even integer
    whole = np.clip(np.rint(x / np.float32(0.05)) + 3, 0, 255) - 3
    patches = np.lib.stride_tricks.sliding_window_view(whole[0, 0], (3, 3))
    wanted = np.einsum("yxij,oij->oyx", patches, weights[:, 0])
    library = build_shared(compiled.files, compiled.manifest, tmp_path / "build", opt="-O1")
    np.testing.assert_array_equal(np.rint(library.run([x])[0][0] / np.float32(0.05)), wanted)


def per_pixel(axis: int) -> onnx.ModelProto:
    """A network with 3 classes per pixel on that axis."""
    net = Net(5)
    x = net.conv("image", 1, 3)
    if axis == 3:
        x = net.node("Transpose", x, perm=[0, 2, 3, 1])
    net.node("Mul", x, net.const(np.float32(0.5)), output="y")
    return net.model("y", [1, 3, 12, 12] if axis == 1 else [1, 12, 12, 3])


@pytest.mark.parametrize("axis", [1, 3])
def test_answers_are_classes_wherever_they_lie(axis: int, tmp_path: Path) -> None:
    found = fixed(per_pixel(axis), tmp_path, "int8")
    (port,) = found.final.outputs
    assert class_axis(found.final, port) == axis
    one = np.zeros(port.shape, np.float32)
    other = one.astype(np.int16)
    other[(0, 1, 4, 5) if axis == 1 else (0, 4, 5, 1)] = 1  # the class of one pixel
    assert same_answers(found.final, port, one, one.astype(np.int16)) == 1
    assert same_answers(found.final, port, one, other) == pytest.approx(1 - 1 / 144)


@pytest.mark.parametrize("width", [1, 3])
def test_rows_of_few_values_are_chosen_by_real_numbers(width: int, tmp_path: Path) -> None:
    """The table is packed codes, and the places are computed in float32."""
    rng, net = np.random.default_rng(4), models.Net()
    ids = net.cast(net.clip(net.input([1, 6]), 0.0, 4.0), onnx.TensorProto.INT64)
    rows = net.add("Gather", rng.choice([-1.0, 0.0, 1.0], (5, width)), ids)
    model = net.model(net.add("MatMul", net.reshape(rows, 1, 6 * width), rng.choice([-1.0, 1], (6 * width, 4))))
    samples = rng.uniform(-1, 5, (20, 1, 6)).astype(np.float32)
    found = models.compiled(model, real="int16", calibrate=vectors(tmp_path, samples))
    (output,) = found.manifest["outputs"]
    for sample in samples:
        (got,), (wanted,) = found.reference([sample]), models.ort_run(model, [sample])
        np.testing.assert_allclose(got.ravel() * output.get("scale", 1.0), wanted.ravel(), atol=1e-3)


@pytest.mark.parametrize("real", ["int16", "int8"])
def test_ternary_weights_are_two_signs(real: str, tmp_path: Path) -> None:
    """Integers lose nothing when half of a number is added and taken away."""
    rng, net = np.random.default_rng(6), models.Net()
    x = net.add("Conv", net.input([1, 3, 6, 6]), rng.integers(-1, 2, (5, 3, 3, 3)).astype(np.float32), pads=[1] * 4)
    model = net.model(net.add("Relu", net.add("Mul", x, 0.3)))
    samples = rng.standard_normal((20, 1, 3, 6, 6)).astype(np.float32)
    found = models.compiled(model, real=real, calibrate=vectors(tmp_path, samples))
    assert [layer["op"] for layer in found.manifest["layers"]].count("fixed_conv2d") == 2
    (output,) = found.manifest["outputs"]
    for sample in samples:
        (got,), (wanted,) = found.reference([sample]), models.ort_run(model, [sample])
        np.testing.assert_allclose(got * output["scale"], wanted, atol=0.02 * np.abs(wanted).max())


def test_values_that_share_a_format_may_be_as_large_as_numbers_get() -> None:
    """Their sum is not a number of the type."""
    large = Spread(-1.0, 1e308, np.full(3, np.finfo(np.float64).max), 1)
    assert np.isfinite(joined([large] * 7).mean).all()


@pytest.mark.parametrize("real", ["int16", "int8"])
def test_rows_of_a_table_are_integers(real: str, tmp_path: Path) -> None:
    """Ids choose rows of real numbers: the table is stored in the format of its values."""
    rng, net = np.random.default_rng(4), models.Net()
    ids = net.input([1, 5], "ids", onnx.TensorProto.INT64)
    rows = net.add("Gather", rng.standard_normal((7, 12)), ids)
    scores = net.add(
        "MatMul", net.add("Relu", net.add("Add", rows, rng.standard_normal((5, 12)))), rng.choice([-1.0, 1], (12, 3))
    )
    samples = rng.integers(0, 7, (20, 1, 5))
    model = net.model(scores, shape=(1, 5, 3))
    found = models.compiled(model, real=real, calibrate=vectors(tmp_path, samples))
    assert "f32" not in {kind.storage for kind in found.final.types.values()}
    library = build_shared(found.files, found.manifest, tmp_path, opt="-O1")
    (output,) = found.manifest["outputs"]
    for sample in samples:
        (got,), (same,), (wanted,) = library.run([sample]), found.reference([sample]), models.ort_run(model, [sample])
        np.testing.assert_array_equal(got, same)
        np.testing.assert_allclose(got * output["scale"], wanted, atol=0.05 * np.abs(wanted).max())
