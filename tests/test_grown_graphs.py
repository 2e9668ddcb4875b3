"""Forms of operators that networks grown at random, node by node, had and exporters' networks had not.

onnxruntime = imported graph = final graph = C on the host, bit for bit; the numbers make float32 arithmetic exact.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from models import Array, Net, compiled, ort_session
from onnx import TensorProto, helper

from bnn2c.errors import CompileError
from bnn2c.ir.graph import outputs
from bnn2c.pipeline import Compiled
from bnn2c.toolchain import build_shared

QUARTERS = 4.0
INT32 = np.iinfo(np.int32)


@pytest.fixture
def agree(tmp_path: Path) -> Callable[..., Compiled]:
    """Compiles a model of one input and compares all its stages on samples; drawn unless given."""

    def run(model: onnx.ModelProto, *samples: Array, **options: Any) -> Compiled:
        found, reference = compiled(model, **options), ort_session(model)
        library = build_shared(found.files, found.manifest, tmp_path)
        rng, port = np.random.default_rng(3), found.manifest["inputs"][0]
        drawn = [(rng.integers(-8, 9, port["shape"]) / QUARTERS).astype(np.float32) for _ in range(6)]
        for x in samples or drawn:
            stored = x.astype(port["dtype"])
            wanted = reference([x])
            stages = [outputs(graph, [stored]) for graph in (found.imported, found.final)]
            for stage in [*stages, library.run([stored])]:
                for one, other in zip(stage, wanted, strict=True):
                    assert one.shape == other.shape
                    np.testing.assert_array_equal(one, other.astype(one.dtype))
        return found

    return run


def signs(*shape: int) -> Array:
    return np.random.default_rng(5).choice([-1, 1], shape).astype(np.float32)


def numbers(n: Net, shape: list[int], element: int) -> str:
    """An input of integers, as real numbers."""
    return n.add("Cast", n.input(shape, element=element), to=TensorProto.FLOAT)


# --- integer inputs ---------------------------------------------------------------------------------------------------

AT_INTEGERS: dict[str, tuple[str, float]] = {
    "above one": ("Greater", 1.0),
    "equal to one": ("Equal", 1.0),
    "below a half": ("Less", 0.5),
    "a negative fraction": ("GreaterOrEqual", -2.25),
    "where float32 rounds": ("Greater", 2.0**24),
    "rounded up to": ("GreaterOrEqual", 2.0**24 + 4),
    "beyond int32": ("GreaterOrEqual", 2.0**31),
    "above all but the last": ("GreaterOrEqual", 2.0**31 - 128),
    "below all": ("GreaterOrEqual", -(2.0**40)),
}


@pytest.mark.parametrize("name", AT_INTEGERS)
@pytest.mark.parametrize("element", [TensorProto.INT32, TensorProto.INT64])
def test_integer_inputs_are_compared_as_integers(name: str, element: int, agree: Callable[..., Compiled]) -> None:
    """A threshold between two integers, found on the float32 line, is not cut off to the lower one."""
    test, value = AT_INTEGERS[name]
    near = [int(value) + d for d in range(-5, 6)] + [*range(-5, 6), INT32.min, INT32.max, INT32.max - 64]
    x = np.clip(np.array([near], np.int64), INT32.min, INT32.max).astype(helper.tensor_dtype_to_np_dtype(element))
    n = Net()
    hit = n.add(test, numbers(n, list(x.shape), element), value)
    agree(n.model(hit, element=TensorProto.BOOL), x)


def test_the_sign_of_an_integer_input(agree: Callable[..., Compiled]) -> None:
    n = Net()
    rng = np.random.default_rng(0)
    bits = n.add("Sign", numbers(n, [1, 40], TensorProto.INT32))
    agree(
        n.model(n.add("MatMul", bits, signs(40, 7))),
        *(rng.integers(-2, 3, (1, 40)).astype(np.int32) for _ in range(6)),
    )


@pytest.mark.parametrize("element", [TensorProto.INT8, TensorProto.BOOL, TensorProto.INT32])
def test_real_numbers_next_to_an_integer_input(element: int, agree: Callable[..., Compiled]) -> None:
    """Concat of a cast input and what was computed from it: they are stored differently."""
    n = Net()
    x = numbers(n, [1, 9], element)
    both = n.add("Concat", n.add("Mul", x, 0.5), x, axis=1)
    given = np.random.default_rng(1).integers(0, 2, (1, 9)).astype(helper.tensor_dtype_to_np_dtype(element))
    agree(n.model(n.add("MatMul", both, signs(18, 5))), given)


# --- several images ---------------------------------------------------------------------------------------------------


def rounded(n: Net, x: str) -> str:
    """To sixteenths: of powers and roots the last bit may differ."""
    return n.add("Round", n.add("Mul", x, 16.0))


LAYERS: dict[str, Callable[[Net, str], str]] = {
    "convolution": lambda n, x: n.add("Conv", x, signs(5, 3, 3, 3), np.arange(5.0) / 4, pads=[1, 1, 1, 1]),
    "binary convolution": lambda n, x: n.add("Conv", n.add("Sign", x), signs(5, 3, 3, 3)),
    "kernel as large as the image": lambda n, x: n.add("Conv", x, signs(5, 3, 4, 6)),
    "transposed convolution": lambda n, x: n.add("ConvTranspose", x, signs(3, 2, 2, 2), strides=[2, 2]),
    "depthwise transposed convolution": lambda n, x: n.add(
        "ConvTranspose",
        x,
        signs(3, 2, 3, 2),
        np.arange(6.0),
        group=3,
        strides=[2, 1],
        dilations=[1, 2],
        pads=[1, 0, 0, 1],
    ),
    "p-norm pool": lambda n, x: rounded(
        n, n.add("LpPool", x, kernel_shape=[2, 3], strides=[2, 2], pads=[1, 1, 0, 1], p=3)
    ),
    "global p-norm pool": lambda n, x: n.add("GlobalLpPool", x, p=1),
    "local response": lambda n, x: rounded(n, n.add("LRN", x, size=3, alpha=0.5, beta=0.6)),
    "largest of all": lambda n, x: n.add("Hardmax", x, axis=2),
    "max pool": lambda n, x: n.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]),
    "average pool": lambda n, x: n.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]),
    "global pool": lambda n, x: n.add("GlobalMaxPool", x),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("images", ["input", "transposed"])
def test_every_image_of_a_batch_is_computed(images: str, layer: str, agree: Callable[..., Compiled]) -> None:
    n = Net()
    x = n.input([2, 3, 4, 6]) if images == "input" else n.add("Transpose", n.input([3, 2, 4, 6]), perm=[1, 0, 2, 3])
    agree(n.model(LAYERS[layer](n, x)))


# --- forms of single operators ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [(0, 1), (1, 0)])
def test_sequences_are_turned_by_their_lengths(axes: tuple[int, int], agree: Callable[..., Compiled]) -> None:
    n = Net()
    lengths = np.array([2, 5, 1]) if axes == (0, 1) else np.array([0, 3, 2, 1, 3])
    x = n.add("ReverseSequence", n.input([3, 5, 7]), lengths, batch_axis=axes[0], time_axis=axes[1])
    agree(n.model(n.add("MatMul", n.add("Sign", x), signs(7, 4))))


@pytest.mark.parametrize("upper", [0, 1])
def test_triangles_of_matrices(upper: int, agree: Callable[..., Compiled]) -> None:
    n = Net()
    x = n.add("Trilu", n.input([2, 5, 7]), np.array(-1), upper=upper)
    agree(n.model(n.add("MatMul", n.add("Sign", x), signs(7, 4))))


def test_numbers_near_zero_are_shrunk(agree: Callable[..., Compiled]) -> None:
    n = Net()
    x = n.add("Shrink", n.input([1, 40]), lambd=0.75, bias=0.5)
    agree(n.model(n.add("MatMul", n.add("Sign", x), signs(40, 4))), np.linspace(-2, 2, 40, dtype=np.float32)[None])


def test_phases_of_a_transposed_convolution_that_read_nothing(agree: Callable[..., Compiled]) -> None:
    n = Net()
    x = n.add("ConvTranspose", n.input([1, 3, 4, 1]), signs(3, 2, 2, 3), pads=[1, 1, 0, 0], strides=[1, 3])
    agree(n.model(x))


def test_the_first_part_of_a_larger_tensor_is_no_reshape(agree: Callable[..., Compiled]) -> None:
    """An elementwise layer behind a slice is not moved in front of it as if it were behind a reshape."""
    n = Net()
    x = n.add("Mul", n.add("Sum", *[n.input([2, 1, 7, 16])] * 3), 0.5)
    first = n.add("Slice", n.reshape(x, 2, 14, 8), np.array([0]), np.array([1]), np.array([0]))
    agree(n.model(n.add("Relu", n.add("Sub", first, 0.25))))


@pytest.mark.parametrize("pads", [[0, 1, 0, 0], [0, 1, 0, -1], [0, 2, 0, 0]])
@pytest.mark.parametrize("binary", [False, True])
def test_an_element_in_front_of_a_vector(binary: bool, pads: list[int], agree: Callable[..., Compiled]) -> None:
    """One number, then the elements 0, 1, …: no slice that starts before its source."""
    n = Net()
    x = n.input([1, 40])
    x = n.pad(n.add("Where", n.add("Greater", x, 0.0), 1.0, -1.0) if binary else x, pads, 1.0)
    agree(n.model(n.add("Add", n.add("MatMul", x, signs(40 + sum(pads), 6)), 0.25)))


@pytest.mark.parametrize("function", ["Log", "Sqrt"])
@pytest.mark.parametrize("test", ["Less", "Greater"])
def test_what_is_not_a_number_is_on_neither_side(function: str, test: str, agree: Callable[..., Compiled]) -> None:
    """`log(x) < 0` holds in between only: below 0 there is no logarithm, and NaN compares as false."""
    n = Net()
    hit = n.add(test, n.add(function, n.input([1, 12])), 1.0 if function == "Sqrt" else 0.0)
    bits = n.add("Where", hit, 1.0, -1.0)
    edge = np.array([[-3, -1e-30, -0.0, 0, 1e-40, 0.25, 0.999, 1, 1.25, 4, 1e30, -1e30]], np.float32)
    agree(n.model(n.add("MatMul", bits, signs(12, 5))), edge)


def test_nodes_that_no_output_needs_are_not_read(agree: Callable[..., Compiled]) -> None:
    """An operator that cannot be compiled does no harm there; what only a branch of an If reads is needed."""
    n = Net()
    x = n.input([1, 6])
    n.add("NonZero", x)
    kept = n.named(n.add("Abs", x), "kept")
    shape = helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 6])
    branch = helper.make_graph([helper.make_node("Neg", [kept], ["b"])], "branch", [], [shape])
    y = n.add("If", np.array(True), then_branch=branch, else_branch=branch)
    agree(n.model(y, shape=[1, 6]))


def test_constants_of_a_large_layer_are_printed_in_time() -> None:
    """A file of 2 KB may ask for millions of numbers: 64-bit integers cost 2 s, not 20."""
    import time

    from bnn2c.emit.arrays import CArray

    data = np.arange(-(2**20), 2**20, dtype=np.int32)
    start = time.process_time()
    text = CArray("a", data).body()
    assert text.startswith("  -1048576, -1048575,") and text.endswith(" 1048575")
    assert time.process_time() - start < 3


# --- quantised operators ----------------------------------------------------------------------------------------------


def quantised(n: Net, x: str, zero: int = 128) -> str:
    return n.add("QuantizeLinear", x, np.float32(0.25), np.uint8(zero))


def whole(low: int, high: int, kind: type, *shape: int) -> Array:
    return np.random.default_rng(7).integers(low, high, shape).astype(kind)


def conv_integer(n: Net, x: str) -> str:
    weights = whole(0, 4, np.uint8, 4, 3, 3, 3)
    return n.add("ConvInteger", quantised(n, x), weights, np.uint8(128), np.uint8(1), pads=[1, 1, 1, 1])


def qlinear_conv(n: Net, x: str) -> str:
    scales, zeros = np.array([0.25, 0.5, 1.0, 0.25], np.float32), np.zeros(4, np.int8)
    weights, bias = whole(-3, 4, np.int8, 4, 3, 2, 3), np.array([5, -7, 0, 2], np.int32)
    operands = (np.float32(0.25), np.uint8(128), weights, scales, zeros, np.float32(2.0), np.uint8(100), bias)
    return n.add("QLinearConv", quantised(n, x), *operands, pads=[0, 1, 1, 1], strides=[1, 2])


def matmul_integer(n: Net, x: str) -> str:
    weights = whole(-1, 2, np.int8, 6, 5)
    return n.add("MatMulInteger", quantised(n, x, 3), weights, np.uint8(3), np.array([0, 1, 0, -1, 0], np.int8))


def qlinear_matmul(n: Net, x: str) -> str:
    right = (whole(-3, 4, np.int8, 6, 5), np.float32(0.5), np.int8(0))
    return n.add(
        "QLinearMatMul", quantised(n, x), np.float32(0.25), np.uint8(128), *right, np.float32(0.5), np.uint8(100)
    )


QUANTISED = {f.__name__: f for f in (conv_integer, qlinear_conv, matmul_integer, qlinear_matmul)}


@pytest.mark.parametrize("name", QUANTISED)
def test_operators_on_quantised_integers(name: str, agree: Callable[..., Compiled]) -> None:
    n = Net()
    codes = QUANTISED[name](n, n.input([1, 3, 4, 6]))
    agree(n.model(n.add("Mul", n.cast(codes), 0.5)))


def test_dynamically_quantised_layers(agree: Callable[..., Compiled]) -> None:
    """What onnxruntime's quantize_dynamic makes of a dense layer."""
    n = Net()
    x = n.input([1, 12])
    codes = n.add("DynamicQuantizeLinear", x, count=3)
    sums = n.cast(n.add("MatMulInteger", codes, whole(-1, 2, np.int8, 12, 5), f"{codes}_2", np.int8(0)))
    given = np.tile(np.array([-63.75, 0, 191.25, 17.0], np.float32), 3)[None]
    agree(n.model(n.add("Mul", n.add("Mul", sums, f"{codes}_1"), 0.5)), given, np.zeros_like(given))


@pytest.mark.parametrize("element", [TensorProto.BOOL, TensorProto.INT32])
def test_rows_of_a_table_are_no_real_output(element: int, agree: Callable[..., Compiled]) -> None:
    """Truth values and integers are stored otherwise than the rows of a table that other operations look up."""
    n = Net()
    rows = n.add("Gather", np.arange(72).reshape(9, 8) % 5 - 2.0, n.input([1, 2], element=TensorProto.INT64))
    agree(n.model(n.cast(rows, element), element=element), np.array([[0, 8]]), np.array([[3, 5]]))


def test_dynamically_quantised_numbers(agree: Callable[..., Compiled]) -> None:
    """Scale and zero point are computed, for one operation and for the channels of another."""
    n = Net(opset=19)
    x = n.input([1, 12])
    codes = n.add("DynamicQuantizeLinear", x, count=3)
    real = n.add("DequantizeLinear", codes, f"{codes}_1", f"{codes}_2")
    scales = n.add(
        "Add", n.add("Abs", n.reshape(n.add("Slice", x, np.array([0]), np.array([3]), np.array([1])), 3)), 1.0
    )
    bytes_ = n.add("QuantizeLinear", n.reshape(real, 4, 3), scales, np.zeros(3, np.int8), axis=1)
    given = np.tile(np.array([-63.75, 0, 191.25, 17.0], np.float32), 3)[None]
    agree(n.model(real, n.cast(bytes_)), given)


@pytest.mark.parametrize(("axis", "k", "largest"), [(1, 3, 1), (2, 2, 0), (-1, 5, 1), (1, 1, 0)])
def test_the_best_of_several(axis: int, k: int, largest: int, agree: Callable[..., Compiled]) -> None:
    """Ties go to the lower index, as in onnxruntime."""
    n = Net()
    values = n.add("TopK", n.input([1, 4, 5]), np.array([k]), count=2, axis=axis, largest=largest)
    model = n.model(values)
    model.graph.output.append(helper.make_tensor_value_info(f"v{len(n.nodes) - 1}_1", TensorProto.INT64, None))
    agree(model)


def test_powers_of_large_numbers_do_not_overflow(tmp_path: Path) -> None:
    n = Net()
    model = n.model(n.add("ReduceLogSumExp", n.input([1, 3, 4]), axes=[1], keepdims=0))
    x = np.array([[[200, -300, 90, 0], [199, -301, 89, 1], [0, -400, 88, 2]]], np.float32)
    found = compiled(model)
    got = build_shared(found.files, found.manifest, tmp_path).run([x])[0]
    np.testing.assert_allclose(got, ort_session(model)([x])[0], rtol=1e-6)


def test_an_input_with_hundreds_of_axes_is_refused() -> None:
    n = Net()
    with pytest.raises(CompileError, match="304 axes"):
        compiled(n.model(n.add("Neg", n.input([1] * 304)), shape=[1]))


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_transposed_convolutions_that_pad_themselves(mode: str, kernel: int, agree: Callable[..., Compiled]) -> None:
    n = Net()
    agree(n.model(n.add("ConvTranspose", n.input([1, 2, 4, 3]), signs(2, 3, kernel, 2), strides=[2, 2], auto_pad=mode)))


@pytest.mark.parametrize("op", ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSum", "LogSumExp"])
def test_a_reduction_over_no_axes_does_the_rest_of_its_work(op: str, agree: Callable[..., Compiled]) -> None:
    n = Net(18)
    y = n.add(f"Reduce{op}", n.input([2, 6]), noop_with_empty_axes=1)
    samples = [np.ones((2, 6), np.float32)] if op == "LogSum" else []  # other logarithms differ in the last digit
    agree(n.model(y), *samples)


def test_too_many_winners_are_refused() -> None:
    n = Net()
    model = n.model(n.add("TopK", n.input([1, 100]), np.array([50]), count=2), shape=[1, 50])
    with pytest.raises(CompileError, match="k from 1 to 16"):
        compiled(model)


@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1]])
def test_channels_that_are_constants_of_their_own(pads: list[int], agree: Callable[..., Compiled]) -> None:
    """A quantiser behind a Relu, as some exporters write it, is +scale everywhere: one level in each channel."""
    n = Net()
    x = n.add("Relu", n.input([1, 40, 4, 4]))
    x = n.add("Where", n.add("GreaterOrEqual", x, 0.0), 1.0, -1.0)
    x = n.add("Mul", x, (np.arange(40, dtype=np.float32) / 8 + 0.5).reshape(1, 40, 1, 1))
    agree(n.model(n.add("Conv", x, signs(5, 40, 3, 3), pads=pads)))
