"""Integers that leave their type wrap around as in onnxruntime; those that float32 may not hold are told about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from models import Array, Net, compiled, ort_session
from onnx import TensorProto, helper

from bnn2c.errors import CompileError, Diagnostic
from bnn2c.ir.graph import outputs
from bnn2c.pipeline import Compiled
from bnn2c.toolchain import build_shared

INT8, UINT8, INT16, UINT16, INT32, INT64 = (
    TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16, TensorProto.INT32, TensorProto.INT64,
)  # fmt: skip
Build = Callable[[Net, str], str]


def kind_of(element: int) -> np.dtype[np.generic]:
    return helper.tensor_dtype_to_np_dtype(element)


def told(found: Compiled) -> list[Diagnostic]:
    return [one for one in found.report_data["warnings"] if one.code == "BNN031"]


WRAP: dict[str, Build] = {
    "sum": lambda n, x: n.add("Add", x, x),
    "product": lambda n, x: n.add("Mul", x, x),
    "difference": lambda n, x: n.add("Sub", n.add("Mul", x, x), x),
}


@pytest.mark.parametrize("name", WRAP)
@pytest.mark.parametrize("element", [INT8, UINT8])
def test_integers_of_eight_bits_wrap_around(name: str, element: int, tmp_path: Path) -> None:
    n = Net()
    model = n.model(WRAP[name](n, n.input([1, 12], element=element)), element=element)
    agree(compiled(model), model, numbers(element), tmp_path)


def numbers(element: int) -> list[Array]:
    """The ends of the type, and others."""
    kind = kind_of(element)
    limits, rng = np.iinfo(kind), np.random.default_rng(3)
    drawn = [rng.integers(limits.min, limits.max, (1, 12), dtype=kind, endpoint=True) for _ in range(4)]
    return [*drawn, np.full((1, 12), limits.min, kind), np.full((1, 12), limits.max, kind)]


def agree(found: Compiled, model: object, samples: list[Array], folder: Path) -> None:
    """onnxruntime = imported graph = final graph = C."""
    run, library = ort_session(model), build_shared(found.files, found.manifest, folder)
    port = found.manifest["inputs"][0]
    for x in samples:
        stored = x.astype(port["dtype"])
        (wanted,) = run([x])
        for (got,) in (*(outputs(graph, [stored]) for graph in (found.imported, found.final)), library.run([stored])):
            np.testing.assert_array_equal(got, wanted.astype(got.dtype))
    assert not told(found)


@pytest.mark.parametrize("to", [INT8, UINT8, INT16, UINT16])
def test_a_cast_to_a_narrower_type_wraps_around(to: int, tmp_path: Path) -> None:
    n = Net()
    x = n.add("Add", n.cast(n.input([1, 12], element=INT16), INT32), np.int32(30000))
    model = n.model(n.cast(x, to), element=to)
    agree(compiled(model), model, numbers(INT16), tmp_path)


@pytest.mark.parametrize("to", [INT8, UINT8])
def test_a_cast_of_real_numbers_wraps_around(to: int, tmp_path: Path) -> None:
    """Undefined in ONNX and in C; here it is what onnxruntime does on most machines."""
    n = Net()
    model = n.model(n.cast(n.input([1, 12]), to), element=to)
    agree(compiled(model), model, [np.linspace(-3000.7, 2999.5, 12, dtype=np.float32)[None]], tmp_path)


def test_what_is_proved_to_fit_is_neither_wrapped_nor_told() -> None:
    def within(n: Net, x: str) -> str:
        low = n.add("Clip", n.add("Neg", n.cast(x, INT32)), np.int32(-40), np.int32(50))
        return n.cast(n.add("Mod", n.add("Mul", low, np.int32(3)), np.int32(11)), INT8)

    n = Net()
    found = compiled(n.model(within(n, n.input([1, 12], element=INT8)), element=INT8))
    assert not told(found)
    functions = [getattr(node.op.expr, "fn", "") for node in found.imported.nodes]
    assert functions.count("mod") == 1, "the model's own"


LARGE: dict[str, tuple[int, Build, int]] = {
    "sum of inputs": (INT32, lambda n, x: n.add("Add", n.add("Add", x, x), x), INT32),
    "64 bits": (INT64, lambda n, x: n.add("ReduceSum", x, keepdims=0), INT64),
    "products of 16 bits": (INT16, lambda n, x: n.add("Mul", x, x), INT16),
    "narrower": (INT32, lambda n, x: n.cast(x, INT8), INT8),
}


@pytest.mark.parametrize("name", LARGE)
def test_integers_that_may_become_too_large_are_told_once(name: str) -> None:
    element, build, out = LARGE[name]
    n = Net()
    found = compiled(n.model(build(n, n.input([1, 12], element=element)), element=out))
    (warning,) = told(found)
    assert "2^24" in warning.message and warning.op == n.nodes[0].op_type and warning.hint


def test_inputs_of_32_bits_may_be_moved_compared_and_looked_up() -> None:
    n, table = Net(), np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32)
    x = n.reshape(n.add("Concat", n.input([1, 6], element=INT64), "x", axis=1), -1)
    found = compiled(n.model(n.add("Gather", table, x), n.add("Gather", table, n.add("Neg", n.add("Neg", x)))))
    (warning,) = told(found)
    assert warning.op == "Neg", "the other output only moves them"


@pytest.mark.parametrize(("op", "value"), [("Add", 2**24 + 1), ("Greater", 2**25 + 1), ("Mul", 2**40 + 1)])
def test_constants_that_float32_does_not_hold_are_refused(op: str, value: int) -> None:
    n = Net()
    y = n.add(op, n.input([1, 12], element=INT64), np.int64(value))
    with pytest.raises(CompileError, match=f"constant {value} would be rounded") as caught:
        compiled(n.model(y, element=TensorProto.BOOL if op == "Greater" else INT64))
    assert caught.value.diagnostics[0].code == "BNN031" and caught.value.diagnostics[0].hint


@pytest.mark.parametrize("value", [np.iinfo(np.int64).max, np.iinfo(np.int32).max, 2**25 + 4])
def test_bounds_that_no_number_reaches_are_allowed(value: int, tmp_path: Path) -> None:
    n = Net()
    x = n.add("Min", n.cast(n.input([1, 12], element=INT8), INT64), np.int64(value))
    model = n.model(x, element=INT64)
    agree(compiled(model), model, numbers(INT8), tmp_path)


def test_sums_of_a_quantised_layer_that_may_become_too_large_are_told() -> None:
    n, weights = Net(), np.full((600, 2), 127, np.int8)
    one, zero = np.float32(1), np.uint8(0)
    n.constants |= {"one": np.asarray(one), "zero": np.asarray(zero), "none": np.asarray(np.int8(0))}
    x = n.input([1, 600], element=UINT8)
    y = n.add("QLinearMatMul", x, "one", "zero", weights, "one", "none", "one", "zero")
    (warning,) = told(compiled(n.model(y, element=UINT8)))
    assert warning.op == "QLinearMatMul" and "1.94e+07" in warning.message


@pytest.mark.parametrize("op", ["ReduceMean", "ReduceL2", "ReduceLogSum"])
def test_fractions_of_integers_are_rounded_towards_zero(op: str) -> None:
    n = Net()
    whole = n.add(op, n.cast(n.input([3, 7], element=INT8), INT32), axes=[1])
    model = n.model(n.add("Mul", n.cast(whole), 0.5))
    low, rng = -9 if op != "ReduceLogSum" else 1, np.random.default_rng(2)
    for given in rng.integers(low, 10, (5, 3, 7)).astype(np.int8):
        (found,) = outputs(compiled(model).final, [given])
        np.testing.assert_array_equal(found, ort_session(model)([given])[0])
