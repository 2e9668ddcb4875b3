"""BitShift and the Bitwise operators on integers that the network computes, against onnxruntime and numpy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from models import Net, compiled, ort_session
from onnx import TensorProto
from test_integers import INT8, INT16, INT32, INT64, UINT8, UINT16, agree, kind_of, numbers, told

from bnn2c.errors import CompileError
from bnn2c.toolchain import build_shared

UINT32 = TensorProto.UINT32
MASK = np.array([7, 100, 0, 127, 64, 1, 3, 85, 42, 126, 15, 96])
BITS: dict[str, Callable[[Net, str, np.dtype[np.generic]], str]] = {
    "and": lambda n, x, kind: n.add("BitwiseAnd", x, MASK.astype(kind)),
    "or": lambda n, x, kind: n.add("BitwiseOr", x, MASK.astype(kind)),
    "xor": lambda n, x, kind: n.add("BitwiseXor", n.add("BitwiseNot", x), MASK.astype(kind)),
    "two tensors": lambda n, x, kind: n.add("BitwiseXor", n.add("Mul", x, x), n.add("BitwiseNot", x)),
}


@pytest.mark.parametrize(
    ("name", "element"),
    [
        *((name, e) for name in BITS for e in (INT8, UINT8)),
        *((name, e) for name in list(BITS)[:3] for e in (INT16, UINT16)),
    ],
)
def test_bits_of_integers(name: str, element: int, tmp_path: Path) -> None:
    """Products of 16 bits are left out: they may exceed what float32 holds."""
    n = Net(opset=18)
    x = n.input([1, 12], element=element)
    model = n.model(BITS[name](n, x, kind_of(element)), element=element)
    agree(compiled(model), model, numbers(element), tmp_path)


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
@pytest.mark.parametrize("computed", [False, True])
def test_shifts(direction: str, computed: bool, tmp_path: Path) -> None:
    """By constants, up to the width less one, and by a number of the input; numpy is the reference, as for ONNX."""
    n = Net(opset=18)
    x = n.input([1, 12], element=UINT8)
    by = n.add("BitwiseAnd", x, np.uint8(7)) if computed else np.arange(12, dtype=np.uint8) % 8
    model = n.model(n.add("BitShift", x, by, direction=direction), element=UINT8)
    agree(compiled(model), model, numbers(UINT8), tmp_path)


def test_wide_shifts_of_numbers_that_are_known_to_be_small(tmp_path: Path) -> None:
    n = Net(opset=18)
    wide = n.cast(n.input([1, 12], element=UINT16), TensorProto.UINT32)
    found = n.add("BitShift", wide, np.uint32(5), direction="LEFT")
    model = n.model(n.add("BitShift", found, np.uint32(9), direction="RIGHT"), element=TensorProto.UINT32)
    library = build_shared(compiled(model).files, compiled(model).manifest, tmp_path)
    for x in numbers(UINT16):
        assert np.array_equal(library.run([x])[0], (x.astype(np.uint32) << 5) >> 9)


def test_packed_inputs_become_signs_of_a_binary_layer(tmp_path: Path) -> None:
    """Eight pixels to a byte, as a camera with two levels sends them."""
    rng = np.random.default_rng(5)
    n = Net(opset=18)
    x = n.add("Unsqueeze", n.input([1, 6], element=UINT8), np.array([2]))
    bits = n.add("BitwiseAnd", n.add("BitShift", x, np.arange(8, dtype=np.uint8), direction="RIGHT"), np.uint8(1))
    signs = n.add("Sub", n.add("Mul", n.cast(n.reshape(bits, 1, 48), TensorProto.FLOAT), 2.0), 1.0)
    model = n.model(n.add("MatMul", signs, np.sign(rng.normal(size=(48, 5))).astype(np.float32)))
    found = compiled(model)
    layers = found.manifest["layers"]
    assert sum(layer["binary_macs"] for layer in layers) == 48 * 5 and not any(layer["real_macs"] for layer in layers)
    library, run = build_shared(found.files, found.manifest, tmp_path), ort_session(model)
    for sample in rng.integers(0, 256, (4, 1, 6), dtype=np.uint8):
        assert np.array_equal(library.run([sample])[0], run([sample])[0])


LARGE: dict[str, tuple[int, Callable[[Net, str], str]]] = {
    "operand": (INT32, lambda n, x: n.add("BitwiseXor", x, np.int32(9))),
    "operand of a mask": (INT32, lambda n, x: n.add("BitwiseAnd", x, np.int32(0xFFFF))),
    "moved operand": (INT64, lambda n, x: n.add("BitwiseAnd", n.add("Concat", x, x, axis=1), np.int64(1))),
    "sum": (INT32, lambda n, x: n.add("BitwiseOr", np.int32(1), n.add("Add", x, x))),
    "shifted operand": (UINT32, lambda n, x: n.add("BitwiseAnd", _right(n, x, 9), np.uint32(1))),
    "result": (UINT32, lambda n, x: n.add("BitwiseNot", n.add("Clip", x, np.uint32(0), np.uint32(9)))),
    "result of a constant": (INT32, lambda n, x: n.add("BitwiseOr", _small(n, x), np.int32(1 << 30))),
}


def _right(n: Net, x: str, by: int) -> str:
    return n.add("BitShift", x, np.uint32(by), direction="RIGHT")


def _small(n: Net, x: str) -> str:
    return n.add("Clip", x, np.int32(-(1 << 24)), np.int32((1 << 24) - 1))


@pytest.mark.parametrize("name", LARGE)
def test_bits_that_float32_would_lose_are_refused(name: str) -> None:
    element, build = LARGE[name]
    n = Net(opset=18)
    y = build(n, n.input([1, 12], element=element))
    with pytest.raises(CompileError, match=r"the bits of integers between .* beyond 2\^24 they are rounded") as caught:
        compiled(n.model(y, element=element))
    (problem,) = caught.value.diagnostics
    assert problem.code == "BNN031" and problem.op == n.nodes[-1].op_type and "uint8" in problem.hint


def test_masks_that_float32_rounds_are_refused() -> None:
    n = Net(opset=18)
    x = _small(n, n.input([1, 12], element=INT32))
    with pytest.raises(CompileError, match="constant 268435455 would be rounded"):
        compiled(n.model(n.add("BitwiseAnd", x, np.int32(0xFFFFFFF)), element=INT32))


def test_bits_of_large_integers_that_are_known_to_be_small(tmp_path: Path) -> None:
    """To the ends of the range in which float32 holds every whole number; then the lowest bit of the lowest ones."""
    n = Net(opset=18)
    masked = n.add("BitwiseXor", _small(n, n.input([1, 12], element=INT32)), np.int32(0x155555))
    model = n.model(n.add("BitwiseAnd", n.add("BitwiseNot", masked), np.int32(0xFFFFFF)), element=INT32)
    ends = np.array([[-(1 << 24), 1 - (1 << 24), (1 << 24) - 1, (1 << 24) - 2]], np.int32)
    agree(compiled(model), model, [*numbers(INT32), np.tile(ends, (1, 3))], tmp_path)


def test_remainders_and_comparisons_of_rounded_integers_are_told() -> None:
    """Their results are small, and wrong all the same where the operands are beyond 2^24."""
    for op, other, element in (
        ("Mod", np.int32(512), INT32),
        ("Div", np.int32(512), INT32),
        ("Equal", None, TensorProto.BOOL),
    ):
        n = Net(opset=18)
        x = n.input([1, 12], element=INT32)
        y = n.add(op, x, n.add("Gather", x, np.arange(12)[::-1], axis=1) if other is None else other)
        (warning,) = told(compiled(n.model(y, element=element)))
        assert warning.op == op and "2^24" in warning.message
    n = Net(opset=18)
    small = n.add("Mod", n.cast(n.input([1, 12]), INT32), np.int32(512))
    assert not told(compiled(n.model(small, element=INT32))), "a real number that is cast is one that float32 holds"
