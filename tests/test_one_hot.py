"""Dense layers of one-hot vectors become tables (passes/fold_one_hot.py)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from models import Array, Net, ort_session
from onnx import TensorProto
from strict import UNDEFINED

from bnn2c.ir.graph import outputs
from bnn2c.options import Options, Real
from bnn2c.pipeline import Compiled, compile_model
from bnn2c.toolchain import build_shared

WORDS, WIDTH = 20, 12


def normal(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def signs(*shape: int) -> Array:
    return np.where(normal(*shape) < 0, -1, 1).astype(np.float32)


def one_hot(n: Net, ids: str) -> str:
    return n.add("OneHot", ids, np.array(WORDS), np.array([0, 1], np.float32))


def real(n: Net, ids: str) -> str:
    return n.add("Add", n.add("MatMul", one_hot(n, ids), normal(WORDS, WIDTH)), normal(WIDTH))


def levels(n: Net, ids: str) -> str:
    """Neither 0 and 1, nor a class for each word."""
    hot = n.add("OneHot", ids, np.array(WORDS), np.array([-0.5, 2], np.float32))
    return n.add("MatMul", hot, normal(WORDS, WIDTH))


def compared(n: Net, ids: str) -> str:
    """Words 3, 4, … spelled with Equal."""
    hot = n.cast(n.add("Equal", n.axes("Unsqueeze", ids, 2), np.arange(3, 3 + WORDS)))
    return n.add("MatMul", hot, normal(WORDS, WIDTH))


def hidden(n: Net, ids: str) -> str:
    """Binarised: the table holds bits, and a second layer reads them."""
    bits = n.add("Where", n.add("Greater", real(n, ids), 0.1), 1.0, -1.0)
    return n.add("MatMul", bits, normal(WIDTH, 40))


def two_valued(n: Net, ids: str) -> str:
    """Two-valued weights, binarised sums: as many bits as weights."""
    sums = n.add("Add", n.add("MatMul", one_hot(n, ids), signs(WORDS, 64)), normal(64))
    bits = n.add("Where", n.add("Greater", sums, 0.1), 1.0, -1.0)
    return n.add("MatMul", bits, signs(64, 40))


def twice(n: Net, ids: str) -> str:
    """The sums are read as they are, too."""
    sums = real(n, ids)
    bits = n.add("Where", n.add("Greater", sums, 0.1), 1.0, -1.0)
    return n.add("Add", n.add("MatMul", bits, signs(WIDTH, WIDTH)), sums)


CASES: dict[str, Callable[[Net, str], str]] = {
    one.__name__: one for one in (real, levels, compared, hidden, two_valued, twice)
}


def model_of(layer: Callable[[Net, str], str], tokens: int = 6, element: int = TensorProto.INT64) -> onnx.ModelProto:
    n = Net()
    return n.model(layer(n, n.cast(n.input([1, tokens], element=element), TensorProto.INT64)))


def kinds(compiled: Compiled) -> list[str]:
    return [layer["op"] for layer in compiled.manifest["layers"]]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("element", [TensorProto.INT64, TensorProto.UINT8])
def test_every_id_has_the_row_of_the_reference(name: str, element: int, tmp_path: Path) -> None:
    """Also ids from the end, ids outside of the words, and the largest ones there are."""
    model = model_of(CASES[name], element=element)
    compiled = compile_model(model, Options(name="net"))
    library = build_shared(compiled.files, compiled.manifest, tmp_path, cflags=UNDEFINED)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(element)
    bounds = (0, 255) if element == TensorProto.UINT8 else (-(2**31), 2**31 - 1)
    every = np.array([*range(-WORDS - 3, 3 * WORDS), *bounds, 2**24 + 1, *[0] * 5])
    ids = every[(every >= bounds[0]) & (every <= bounds[1])]
    run = ort_session(model)
    for given in ids[: len(ids) // 6 * 6].reshape(-1, 1, 6):
        (want,) = run([given.astype(dtype)])
        stored = given.astype(compiled.manifest["inputs"][0]["dtype"])
        for (got,) in (outputs(compiled.final, [stored]), library.run([stored])):
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)
    assert "embedding" in kinds(compiled) and not {"conv2d", "quantized_conv2d"} & set(kinds(compiled))


def test_tables_of_bits_take_no_more_than_the_weights() -> None:
    compiled = compile_model(model_of(two_valued), Options(name="net"))
    (table,) = [layer for layer in compiled.manifest["layers"] if layer["op"] == "embedding"]
    assert table["weight_bytes"] == (WORDS + 1) * 8


def test_two_valued_weights_stay_bits_where_the_sums_are_read() -> None:
    """A table of real numbers would be 32 times as large."""
    compiled = compile_model(
        model_of(lambda n, ids: n.add("MatMul", one_hot(n, ids), signs(WORDS, 64))), Options(name="net")
    )
    assert "embedding" not in kinds(compiled) and compiled.manifest["weights_bytes"] < 64 * WORDS


def test_a_place_is_no_id(tmp_path: Path) -> None:
    """A number that is used otherwise than in comparisons for equality has more rows than that."""
    n = Net()
    x = n.input([1, 6], element=TensorProto.INT64)
    hot = n.add("Mul", one_hot(n, x), n.cast(n.axes("Unsqueeze", x, 2)))
    compiled = compile_model(n.model(n.add("MatMul", hot, normal(WORDS, WIDTH))), Options(name="net"))
    assert "embedding" not in kinds(compiled)


def test_integers_that_are_compared_with_other_numbers() -> None:
    """No id equals one half, infinity or 1e30; 1 and 2 are places."""
    for numbers in ([0.5, 1.5, np.inf], [0.5, 1.0, 2.0], [1e30, 1e30, 1e30], [2.0**24] * 3):
        n = Net()
        ids = n.cast(n.axes("Unsqueeze", n.input([1, 6], element=TensorProto.INT64), 2))
        hot = n.cast(n.add("Equal", ids, np.array(numbers, np.float32)))
        model = n.model(n.add("MatMul", hot, normal(3, WIDTH)))
        given = np.array([[-1, 0, 1, 2, 3, 2**24]])
        (found,) = outputs(compile_model(model, Options(name="net")).final, [given.astype(np.int32)])
        np.testing.assert_allclose(found, ort_session(model)([given])[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["int16", "int8"])
def test_in_fixed_point(kind: Real, tmp_path: Path) -> None:
    model = model_of(hidden)
    compiled = compile_model(model, Options(name="net", real=kind))
    library = build_shared(compiled.files, compiled.manifest, tmp_path)
    for given in np.arange(-WORDS, WORDS + 2).reshape(-1, 1, 6).astype(np.int32):
        (found,) = outputs(compiled.final, [given])
        np.testing.assert_array_equal(library.run([given])[0], found)
        (want,) = ort_session(model)([given.astype(np.int64)])
        scale = compiled.manifest["outputs"][0].get("scale") or 1.0
        np.testing.assert_allclose(found * scale, want, atol={"int16": 0.01, "int8": 0.4}[kind])
