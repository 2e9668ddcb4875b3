"""Vectors: files are checked against the model, random inputs stay within what the model takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import Net, compiled
from onnx import TensorProto

from bnn2c.errors import CompileError
from bnn2c.ir.builder import Builder
from bnn2c.ir.graph import Graph, Port
from bnn2c.ir.types import TensorType
from bnn2c.ops.embedding import Embedding
from bnn2c.ops.rearrange import Rearrange
from bnn2c.options import Options
from bnn2c.verify.vectors import Vectors, load_vectors, random_vectors, representable


def manifest(*dtypes: str) -> dict[str, Any]:
    inputs = [{"name": f"in{i}", "dtype": dtype, "shape": [1, 2, 3]} for i, dtype in enumerate(dtypes)]
    return {"inputs": inputs, "outputs": [{"name": "y", "dtype": "float32", "shape": [1, 4]}]}


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "v.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("shape", [(5, 1, 2, 3), (5, 2, 3), (5, 1, 1, 2, 3)])
def test_the_batch_axis_may_be_left_out(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape)
    found = load_vectors(saved(tmp_path, input=x, output=np.zeros((5, 4))), manifest("float32"), Options())
    assert len(found.inputs) == len(found.feeds) == 5
    assert found.inputs[3][0].shape == (1, 2, 3) and found.inputs[3][0].dtype == np.float32
    assert np.array_equal(found.inputs[3][0].ravel(), x[3].astype(np.float32).ravel())
    assert found.outputs is not None and found.outputs[0][0].shape == (1, 4)


def test_arrays_may_have_the_names_of_the_graph(tmp_path: Path) -> None:
    first, second, y = np.full((2, 2, 3), 1.0), np.full((2, 2, 3), 2.0), np.zeros((2, 4))
    for names in ({"in1": second, "y": y, "in0": first}, {"input1": second, "output": y, "input": first, "in1": first}):
        found = load_vectors(saved(tmp_path, **names), manifest("float32", "float32"), Options())
        assert [[float(x.max()) for x in row] for row in found.inputs] == [[1.0, 2.0]] * 2
        assert found.outputs is not None
    with pytest.raises(CompileError, match="no array 'in0'"):
        load_vectors(saved(tmp_path, in1=second), manifest("float32", "float32"), Options())


def test_pixels_for_a_float_input(tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    path = saved(tmp_path, input=pixels, input_scale=np.float32(1 / 255))
    found = load_vectors(path, manifest("float32"), Options())
    assert np.array_equal(found.inputs[1][0].ravel(), pixels[1].ravel().astype(np.float32) / np.float32(255))


def test_pixels_for_a_pixel_input(tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    options = Options(input_scale=0.25, input_offset=-1.0)
    path = saved(tmp_path, input=pixels, input_scale=0.25, input_offset=-1.0)
    found = load_vectors(path, manifest("uint8"), options)
    assert found.inputs[1][0].dtype == np.uint8 and np.array_equal(found.inputs[1][0].ravel(), pixels[1].ravel())
    assert found.feeds[1][0].dtype == np.float32 and np.array_equal(found.feeds[1][0], found.inputs[1][0] * 0.25 - 1)


def test_every_problem_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path, input=np.zeros((2, 3, 3)), output=np.zeros((2, 5)))
    with pytest.raises(CompileError) as caught:
        load_vectors(path, manifest("float32", "float32"), Options())
    assert [d.code for d in caught.value.diagnostics] == ["BNN022"] * len(caught.value.diagnostics)
    text = str(caught.value)
    assert all(f"'{name}'" in text for name in ("input", "input1", "output"))


GOOD = np.zeros((2, 2, 3))


@pytest.mark.parametrize(
    ("dtype", "arrays", "message"),
    [
        ("uint8", {"input": GOOD + 256}, "256 to 256"),
        ("uint8", {"input": GOOD - 1}, "-1 to -1"),
        ("int32", {"input": GOOD + 0.5}, "no integers"),
        ("int32", {"input": GOOD + np.nan}, "NaN, first in sample 0"),
        ("float32", {"input": np.where(np.arange(12) == 7, np.nan, 1.0).reshape(2, 2, 3)}, "NaN, first in sample 1"),
        ("float32", {"input": GOOD, "output": np.full((2, 4), np.nan)}, "'output' holds NaN"),
        ("bool", {"input": GOOD + 2}, "2 to 2"),
        ("float32", {"input": GOOD[:0]}, "no sample"),
        ("float32", {"input": GOOD, "output": np.zeros((3, 4))}, "different numbers"),
        ("float32", {"input": GOOD.astype(complex)}, "complex"),
        ("float32", {"input": np.array("text")}, "needs"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, dtype: str, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        load_vectors(saved(tmp_path, **arrays), manifest(dtype), Options())


def test_another_scale_than_the_compiled_one(tmp_path: Path) -> None:
    path = saved(tmp_path, input=GOOD.astype(np.uint8), input_scale=0.5)
    with pytest.raises(CompileError, match=r"0\.5 \* q"):
        load_vectors(path, manifest("uint8"), Options(input_scale=0.25))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"not a file of arrays"])
def test_broken_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "v.npz"
    path.write_bytes(content)
    with pytest.raises(CompileError, match="BNN022"):
        load_vectors(path, manifest("float32"), Options())


def test_missing_file_and_single_array(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", GOOD)
    for path in (tmp_path / "none.npz", tmp_path / "v.npy"):
        with pytest.raises(CompileError, match="BNN022"):
            load_vectors(path, manifest("float32"), Options())


def test_objects_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "v.npz"
    np.savez(path, input=np.array([{}], object))
    with pytest.raises(CompileError, match="BNN022"):
        load_vectors(path, manifest("float32"), Options())


def graph(dtype: str, storage: str) -> Graph:
    builder = Builder("g")
    builder.add_input(Port("x", "x", (1, 4), dtype), TensorType((1, 1, 4), storage))
    value = "x"
    if dtype == "int32":
        value = builder.emit(Rearrange(np.arange(4, dtype=np.int32).reshape(1, 4, 1)), [value], "moved")
        value = builder.emit(Embedding(np.zeros((7, 2), np.float32)), [value], "table")
    builder.outputs.append(Port("y", value, (1, 4), dtype))
    return builder.build()


def test_random_floats_probe_zero() -> None:
    found = random_vectors(20, graph("float32", "f32"), Options())
    again = random_vectors(20, graph("float32", "f32"), Options())
    x = np.array([row[0] for row in found.inputs])
    assert x.dtype == np.float32 and np.array_equal(x, np.array([row[0] for row in again.inputs]))
    assert (x[-2] == 0).all() and (x[-1] == np.rint(x[-1])).all() and (x[0] != np.rint(x[0])).any()


@pytest.mark.parametrize(("dtype", "storage", "low", "high"), [
    ("uint8", "u8", 0, 255), ("int8", "i8", -128, 127), ("bool", "u8", 0, 1), ("int32", "i32", 0, 6),
])  # fmt: skip
def test_random_integers_stay_in_range(dtype: str, storage: str, low: int, high: int) -> None:
    found = random_vectors(400, graph(dtype, storage), Options())
    x = np.array([row[0] for row in found.inputs])
    assert x.dtype == np.dtype(dtype) and (x.min(), x.max()) == (low, high)


@pytest.mark.parametrize("op", ["Mod", "Div", "Sub"])
@pytest.mark.parametrize("kind", ["UINT16", "UINT32", "UINT64", "INT64"])
def test_random_integers_are_those_of_the_onnx_type(op: str, kind: str) -> None:
    """Unsigned ones are not negative although C takes int32; none is a divisor of 0, which onnxruntime refuses."""
    n, element = Net(), getattr(TensorProto, kind)
    a, b = (n.input([1, 6], name, element) for name in "ab")
    found = random_vectors(100, compiled(n.model(n.add(op, a, b), element=element)).imported, Options())
    x, y = (np.array([row[i] for row in found.inputs]) for i in range(2))
    assert x.dtype == np.int32 and (x.min(), x.max()) == (0 if kind[0] == "U" else -8, 7)
    assert (y == 0).any() == (op == "Sub")


def test_integers_that_the_onnx_type_does_not_have_are_refused() -> None:
    n = Net()
    model = n.model(n.add("Not", n.add("Cast", n.input([1, 2], "x", TensorProto.UINT32), to=TensorProto.BOOL)))
    given = Vectors([[np.array([[3, -1]], np.int32)]], [[np.array([[3, -1]], np.int32)]])
    with pytest.raises(CompileError, match="x takes uint32; the file has -1 to 3"):
        representable(given, model)


def test_random_pixels_have_their_real_value_as_feed() -> None:
    found = random_vectors(3, graph("uint8", "u8"), Options(input_scale=0.5, input_offset=1.0))
    assert found.inputs[0][0].dtype == np.uint8
    assert np.array_equal(found.feeds[0][0], found.inputs[0][0] * np.float32(0.5) + np.float32(1))
