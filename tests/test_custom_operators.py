"""Operators of QONNX, Brevitas and FINN against the qonnx package's own definitions of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from models import Array, Net, compiled, ort_session
from qonnx.custom_op.registry import getCustomOp

from bnn2c.errors import CompileError
from bnn2c.importer import load_model
from bnn2c.ir.graph import outputs
from bnn2c.verify.reference import Reference

GENERAL = "qonnx.custom_op.general"
LAST = "qonnx.custom_op.channels_last"
MODES = ("ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")


def rng_of(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def real(*values: float) -> Array:
    return np.array(values, np.float32)


def ties(*shape: int) -> Array:
    """Multiples of 1/8 around zero: halves, quarters and whole numbers all occur."""
    return (rng_of(len(shape)).permutation(np.prod(shape)).reshape(shape) - np.prod(shape) // 2).astype(np.float32) / 8


def defined(node: onnx.NodeProto, feeds: dict[str, Array], shape: tuple[int, ...], version: int, kind: str) -> Array:
    """What the qonnx package computes for one node."""
    note = onnx.TensorAnnotation(tensor_name=node.input[0])
    note.quant_parameter_tensor_names.add(key="finn_datatype", value=kind)
    graph = onnx.GraphProto(quantization_annotation=[note])
    context = {**feeds, node.output[0]: np.zeros(shape, np.float32)}
    getCustomOp(node, onnx_opset_version=version).execute_node(context, graph)
    return context[node.output[0]]


def check(
    op: str,
    x: Array,
    *constants: Array,
    domain: str = GENERAL,
    shape: tuple[int, ...] = (),
    version: int = 1,
    kind: str = "INT8",
    **attrs: Any,
) -> None:
    """The rewritten node in onnxruntime = the definition, bit for bit."""
    n = Net(opset=20)
    names = [n.input(x.shape), *map(n.const, constants)]
    model = n.model(n.add(op, *names, domain=domain, **attrs), shape=shape or x.shape)
    wanted = defined(n.nodes[-1], {"x": x, **n.constants}, shape or x.shape, version, kind)
    (found,) = ort_session(model)([x])
    np.testing.assert_array_equal(found, wanted.astype(np.float32))


# --- quantisers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 3, 8])
def test_quant_rounds_as_its_mode_says(bits: int, signed: int, mode: str) -> None:
    scale, zero, width = np.float32(0.5), np.float32(0), np.float32(bits)
    check("Quant", ties(5, 33), scale, zero, width, signed=signed, narrow=0, rounding_mode=mode)


@pytest.mark.parametrize("zero", [-2.0, 0.5, 3.0])
@pytest.mark.parametrize(("bits", "signed", "narrow"), [(1, 1, 1), (1, 0, 0), (2, 1, 1), (4, 0, 1), (4, 1, 0)])
def test_quant_with_a_zero_point(zero: float, bits: int, signed: int, narrow: int) -> None:
    constants = (np.float32(0.25), np.float32(zero), np.float32(bits))
    check("IntQuant", ties(3, 41), *constants, signed=signed, narrow=narrow, rounding_mode="ROUND")


def test_quant_with_scales_per_channel() -> None:
    scale = real(0.25, 0.5, 1).reshape(1, 3, 1)
    check("Quant", ties(2, 3, 20), scale, np.float32(0), np.float32(4), signed=1, narrow=0, rounding_mode="ROUND")


@pytest.mark.parametrize("mode", MODES)
def test_trunc_drops_bits(mode: str) -> None:
    check("Trunc", ties(7, 21), *map(np.float32, (0.125, 0, 8, 4)), rounding_mode=mode)


@pytest.mark.parametrize(("signed", "narrow"), [(0, 0), (1, 0), (1, 1)])
@pytest.mark.parametrize("mode", ["FLOOR", "ROUND", "CEIL"])
def test_trunc_with_an_output_scale(mode: str, signed: int, narrow: int) -> None:
    """Version 2 of the operator: the fifth operand is a scale, and the result is clipped."""
    constants = map(np.float32, (0.125, 1, 8, 1.0, 3))
    check("Trunc", ties(7, 21), *constants, version=2, rounding_mode=mode, signed=signed, narrow=narrow)


@pytest.mark.parametrize(
    ("shape", "layout", "axis"),
    [
        ((2, 5), "", 1), ((2, 5), "NC", 1), ((1, 5, 4), "", 2), ((1, 5, 4), "NWC", 2), ((1, 5, 4), "NCW", 1),
        ((1, 5, 3, 4), "", 1), ((1, 5, 3, 4), "NCHW", 1), ((1, 3, 4, 5), "NHWC", 3), ((1, 5, 2, 2, 2), "", 1),
    ],
)  # fmt: skip
def test_multi_threshold_finds_the_channels(shape: tuple[int, ...], layout: str, axis: int) -> None:
    steps = np.sort(rng_of(3).integers(-9, 9, (shape[axis], 3)) / 4, axis=1).astype(np.float32)
    attrs = {"data_layout": layout} if layout else {}
    check("MultiThreshold", ties(*shape), steps, out_dtype="INT2", out_scale=0.5, out_bias=-0.75, **attrs)


def test_parameters_are_constants_in_every_spelling() -> None:
    """A Constant with another attribute than `value`, and what nodes compute of constants alone."""
    n = Net(opset=20)
    x, levels = n.input([1, 2, 3]), real(0.75, -1, 0.5, 0.25)
    three = onnx.helper.make_tensor("value", onnx.TensorProto.FLOAT, [1], [3.0])
    width = n.add("Squeeze", n.add("ConstantOfShape", np.array([1]), value=three))
    level = n.add("Quant", x, 0.5, 0.0, width, domain=GENERAL, signed=1, narrow=0, rounding_mode="ROUND")
    steps = n.add("Reshape", n.add("Neg", n.add("Constant", value_floats=-np.sort(levels))), np.array([1, 4]))
    model = n.model(n.add("MultiThreshold", level, steps, domain=GENERAL), shape=(1, 2, 3))
    feeds = real(-2, 0.2, 0.26, 0.74, 0.76, 9).reshape(1, 2, 3)
    whole = np.clip(np.rint(feeds / 0.5), -4, 3) / 2
    (found,) = ort_session(model)([feeds])
    np.testing.assert_array_equal(found, (whole[..., None] >= levels).sum(-1))


# --- the FINN dialect -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pads", "kernel", "stride", "dilation", "value"),
    [([0, 0, 0, 0], 3, 1, 1, 0), ([1, 0, 2, 1], 3, 2, 1, 0), ([1, 1, 1, 1], 2, 1, 2, -1)],
)
def test_im2col_alone(pads: list[int], kernel: int, stride: int, dilation: int, value: int) -> None:
    size = [(n + pads[i] + pads[i + 2] - dilation * (kernel - 1) - 1) // stride + 1 for i, n in enumerate((6, 7))]
    attrs = {"kernel_size": [kernel, kernel], "stride": [stride, stride], "dilations": [dilation, dilation]}
    x, shape = ties(1, 6, 7, 3), (1, *size, kernel * kernel * 3)
    check("Im2Col", x, shape=shape, input_shape="(1, 6, 7, 3)", pad_amount=pads, pad_value=value, **attrs)


def test_max_pool_of_a_channels_last_image() -> None:
    check("MaxPoolNHWC", ties(1, 6, 8, 3), shape=(1, 3, 4, 3), kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_quantised_average_pool(layout: str) -> None:
    x = rng_of(1).integers(0, 16, (1, 6, 6, 6)).astype(np.float32)
    shape = (1, 6, 2, 2) if layout == "NCHW" else (1, 2, 2, 6)
    check("QuantAvgPool2d", x, shape=shape, kernel=3, stride=3, ibits=4, obits=5, signed=0, data_layout=layout)


@pytest.mark.parametrize("size", [(7, 6), (9,)])
def test_channels_last_convolution(size: tuple[int, ...]) -> None:
    """Images and sequences; the weights are channels-last as well."""
    weights, ones = rng_of(2).choice(real(-1, 1), (5, *[3] * len(size), 2)), [1] * len(size)
    attrs = {"kernel_shape": [3] * len(size), "strides": ones, "pads": ones * 2, "dilations": ones, "group": 1}
    check("Conv", ties(1, *size, 2), weights, domain=LAST, shape=(1, *size, 5), **attrs)


def test_channels_last_batch_normalisation() -> None:
    gamma, beta, mean, var = rng_of(4).integers(1, 5, (4, 3)).astype(np.float32)
    x = ties(1, 4, 5, 3)
    check("BatchNormalization", x, gamma, beta, mean, var, domain=LAST, version=14, epsilon=0.0)


def test_a_lowered_convolution_is_a_binary_convolution() -> None:
    """Im2Col and the MatMul behind it are joined again: no patch is ever stored, and the layer is XNOR and popcount."""
    n, rng = Net(), rng_of(6)
    x = n.add("BipolarQuant", n.input([1, 6, 6, 4]), 1.0, domain=GENERAL)
    patches = n.add(
        "Im2Col", x, domain=GENERAL, stride=[1, 1], kernel_size=[3, 3], pad_amount=[1, 1, 1, 1], input_shape="(1,6,6,4)"
    )
    latent = rng.standard_normal((36, 8)).astype(np.float32)
    sums = n.add("MatMul", patches, n.add("BipolarQuant", latent, 0.5, domain=GENERAL))
    model = n.model(n.add("BipolarQuant", sums, 1.0, domain=GENERAL), shape=[1, 6, 6, 8])
    found = compiled(model)
    layers = found.manifest["layers"]
    assert sum(layer["binary_macs"] for layer in layers) == 36 * 36 * 8
    assert all(layer["real_macs"] == 0 and layer["op"] != "sign_conv2d" for layer in layers)
    x = rng.integers(-2, 3, (1, 6, 6, 4)).astype(np.float32)
    signs = np.pad(np.where(x >= 0, 1.0, -1.0), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(signs[0], (3, 3), (0, 1)).transpose(0, 1, 3, 4, 2)
    sums = windows.reshape(6, 6, 36) @ np.where(latent >= 0, 1, -1)
    np.testing.assert_array_equal(outputs(found.final, [x])[0][0], np.where(sums >= 0, 1, -1))


def test_all_custom_operators_that_cannot_be_expressed_are_reported_at_once() -> None:
    n = Net()
    x = n.add("Quant", n.input([1, 4]), 1.0, 0.0, 4.0, domain=GENERAL, name="first", rounding_mode="STOCHASTIC")
    x = n.add("Quant", x, 1.0, 0.0, n.add("Abs", x), domain=GENERAL, name="second")
    x = n.add("Quant", x, 1.0, 0.0, real(2, 3, 4, 5), domain=GENERAL, name="third")
    with pytest.raises(CompileError) as caught:
        compiled(n.model(x, shape=[1, 4]))
    assert [(d.code, d.node) for d in caught.value.diagnostics] == [("BNN006", f) for f in ("first", "second", "third")]


def test_one_hot_with_its_depth_in_a_list() -> None:
    """torch writes the depth as [n]."""
    n = Net()
    hot = n.add("OneHot", np.array([1, 0]), np.array([3]), real(0, 1))
    model = n.model(n.add("MatMul", n.input([1, 2]), hot), shape=[1, 3])
    x = real(2, 5).reshape(1, 2)
    np.testing.assert_array_equal(outputs(compiled(model).final, [x])[0].reshape(-1), [5, 2, 0])


def test_outputs_without_a_shape() -> None:
    """Runtimes accept them; the shape follows from the graph."""
    n = Net()
    model = n.model(n.add("MatMul", n.input([1, 6]), np.eye(6, 4, dtype=np.float32)), shape=[1, 4])
    model.graph.output[0].type.tensor_type.ClearField("shape")
    found = compiled(model)
    assert found.manifest["outputs"][0]["shape"] == [1, 4]


def test_onnxruntime_executes_what_follows_a_multi_threshold() -> None:
    """Its shape inference knows the rank behind thresholds per channel where the model states none."""
    n = Net()
    x = n.add("Flatten", n.input([1, 4, 2, 2]))
    steps = np.arange(32, dtype=np.float32).reshape(16, 2) / 8 - 2
    x = n.add("MultiThreshold", x, steps, domain="qonnx.custom_op.general")
    y = n.add("Gemm", x, rng_of(1).choice(np.float32([-1, 1]), (3, 16)), np.zeros(3, np.float32), transB=1)
    reference = Reference(load_model(n.model(y, shape=[1, 3])))
    assert reference.run([np.zeros((1, 4, 2, 2), np.float32)])[0].shape == (1, 3)


def in_functions(n: Net, y: str, *groups: Sequence[str]) -> onnx.ModelProto:
    """The model in which the nodes that make each group of tensors are a model-local function."""
    model = n.model(y, shape=[1, 6])
    imports = list(model.opset_import)
    for number, group in enumerate(groups):
        taken = [node for node in model.graph.node if node.output[0] in group]
        inputs = dict.fromkeys(name for node in taken for name in node.input if name not in group)
        body = onnx.helper.make_function("local", f"F{number}", list(inputs), list(group), taken, imports)
        at = next(i for i, node in enumerate(model.graph.node) if node.output[0] in group)
        for node in taken:
            model.graph.node.remove(node)
        model.graph.node.insert(at, onnx.helper.make_node(f"F{number}", list(inputs), list(group), domain="local"))
        model.functions.append(body)
    model.opset_import.append(onnx.helper.make_opsetid("local", 1))
    return model


@pytest.mark.parametrize("apart", [True, False])
def test_operands_of_a_custom_operator_may_come_from_a_function(apart: bool) -> None:
    """Its bit width is the result of one function, itself it is in the main graph or in another function."""
    n = Net()
    width = n.add("Constant", value=onnx.numpy_helper.from_array(np.float32(3)))
    x = n.input([1, 6])
    y = n.add("Quant", x, np.float32(0.5), np.float32(0), width, domain=GENERAL, signed=1, narrow=0)
    plain = n.model(y, shape=[1, 6])
    model = in_functions(n, y, [width], *([[y]] if apart else []))
    values = ties(1, 6)
    one, other = (outputs(compiled(m).final, [values])[0] for m in (model, plain))
    np.testing.assert_array_equal(one, other)


def test_the_definition_that_a_model_brings_along_is_not_needed() -> None:
    """A function named like a known operator is that operator: the definition here would be another."""
    n = Net()
    y = n.add("BipolarQuant", n.input([1, 6]), np.float32(2), domain=GENERAL)
    model = n.model(y, shape=[1, 6])
    body = [onnx.helper.make_node("Mul", ["x", "scale"], ["y"])]
    imports = [onnx.helper.make_opsetid("", 17)]
    model.functions.append(onnx.helper.make_function(GENERAL, "BipolarQuant", ["x", "scale"], ["y"], body, imports))
    values = real(-3, -1, 0, 1, 2, 3).reshape(1, 6)
    np.testing.assert_array_equal(outputs(compiled(model).final, [values])[0].ravel(), [-2, -2, 2, 2, 2, 2])


@pytest.mark.parametrize("opset", [7, 8])
def test_one_bit_in_opsets_without_where(opset: int) -> None:
    n = Net(opset=opset)
    x = n.input([1, 5])
    x = n.add("BipolarQuant", x, np.float32(2), domain=GENERAL)
    y = n.add("Quant", x, np.float32(0.5), np.float32(0), np.float32(1), domain=GENERAL, signed=1, narrow=1)
    found = compiled(n.model(y, shape=[1, 5]))
    values = real(-1, -0.25, 0, 0.25, 4).reshape(1, 5)
    np.testing.assert_array_equal(outputs(found.final, [values])[0].ravel(), [-0.5, -0.5, 0.5, 0.5, 0.5])


@pytest.mark.parametrize("opset", [7, 8])
@pytest.mark.parametrize(("mode", "half"), [("ROUND", 0.0), ("HALF_UP", 0.5), ("DOWN", 0.0)])
def test_quantisers_run_in_onnxruntime_in_opsets_without_sign(mode: str, half: float, opset: int) -> None:
    """Min and Max do not broadcast before opset 8, Sign and Where come with opset 9."""
    n = Net(opset=opset)
    operands = (np.float32(0.5), np.float32(0), np.float32(3))
    y = n.add("Quant", n.input([1, 6]), *operands, domain=GENERAL, signed=1, rounding_mode=mode)
    model = n.model(y, shape=[1, 6])
    values = real(-9, -0.25, 0, 0.25, 1.5, 4).reshape(1, 6)
    wanted = [-2, -half, 0, half, 1.5, 1.5]
    np.testing.assert_array_equal(ort_session(model)([values])[0].ravel(), wanted)
    np.testing.assert_array_equal(outputs(compiled(model).final, [values])[0].ravel(), wanted)
