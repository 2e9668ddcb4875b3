"""NaN, infinity and enormous numbers among the constants: told in one warning, but not where they are meant so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from models import Net, compiled

from bnn2c.errors import Diagnostic

NAN, INF, LOWEST = np.float32(np.nan), np.float32(np.inf), np.finfo(np.float32).min
SHAPE = [1, 2, 6, 6]
Build = Callable[[Net, str], str]


def told(build: Build) -> list[Diagnostic]:
    n = Net()
    model = n.model(build(n, n.input(SHAPE)), shape=[])
    return [one for one in compiled(model).report_data["warnings"] if one.code == "BNN034"]


def holding(value: float, *shape: int) -> np.ndarray:
    """Ones, and one other number."""
    found = np.ones(shape, np.float32)
    found.flat[-1] = value
    return found


STRANGE: dict[str, tuple[Build, str]] = {
    "scale": (lambda n, x: n.add("Mul", x, holding(NAN, 2, 1, 1)), "NaN"),
    "one scale": (lambda n, x: n.add("Mul", x, -INF), "infinity"),
    "huge scale": (lambda n, x: n.add("Mul", x, holding(-2e30, 2, 1, 1)), "numbers as large as 2e+30"),
    "divisor": (lambda n, x: n.add("Div", x, INF), "infinity"),
    "bias": (lambda n, x: n.add("Add", x, holding(INF, 2, 1, 1)), "infinity"),
    "difference": (lambda n, x: n.add("Sub", x, holding(-1e35, 2, 1, 1)), "numbers as large as 1e+35"),
    "mask of NaN": (lambda n, x: n.add("Add", x, holding(NAN, 6, 6)), "NaN"),
    "slope": (lambda n, x: n.add("PRelu", x, holding(1e31, 2, 1, 1)), "numbers as large as 1e+31"),
    "threshold": (lambda n, x: n.cast(n.add("Greater", x, NAN), onnx.TensorProto.FLOAT), "NaN"),
    "weights": (lambda n, x: n.add("Conv", x, holding(1e33, 3, 2, 1, 1)), "numbers as large as 1e+33"),
    "quantiser": (lambda n, x: n.add("QuantizeLinear", x, np.float32(1e32), np.uint8(0)), "numbers as large as 1e+32"),
    "computed": (lambda n, x: n.add("Mul", x, n.add("Log", np.float32(-1.0))), "NaN"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("name", STRANGE)
def test_what_training_should_not_give_is_told(name: str) -> None:
    build, held = STRANGE[name]
    (warning,) = told(lambda n, x: n.add("Relu", build(n, x)))
    assert warning.message.endswith(f"holds {held}") and warning.severity == "warning"
    assert warning.op != "Relu" and warning.node.startswith(warning.op)


def lowered(n: Net, x: str) -> str:
    """As attention masks are written: scores plus (1 - mask) times the lowest number, with a computed mask."""
    mask = n.cast(n.add("Greater", x, 0.0), onnx.TensorProto.FLOAT)
    return n.add("Softmax", n.add("Add", x, n.add("Mul", n.add("Sub", 1.0, mask), LOWEST)))


MEANT: dict[str, Build] = {
    "clip": lambda n, x: n.add("Clip", x, -INF, INF),
    "padding": lambda n, x: n.add("MaxPool", n.pad(x, [0, 0, 1, 1, 0, 0, 1, 1], -INF), kernel_shape=[3, 3]),
    "mask": lambda n, x: n.add("Softmax", n.add("Add", x, np.triu(np.full((6, 6), -INF, np.float32), 1))),
    "lowest": lambda n, x: n.add("Softmax", n.add("Add", np.full((6, 6), LOWEST, np.float32), x)),
    "difference": lambda n, x: n.add("Softmax", n.add("Sub", x, np.full((6, 6), 1e32, np.float32))),
    "computed mask": lowered,
    "choice": lambda n, x: n.add("Softmax", n.add("Where", np.tri(6, dtype=bool), x, -INF)),
    "comparison": lambda n, x: n.cast(n.add("Less", x, holding(INF, 2, 1, 1)), onnx.TensorProto.FLOAT),
    "bound": lambda n, x: n.add("Min", n.add("Max", x, LOWEST), INF),
    "large": lambda n, x: n.add("Mul", x, holding(9e29, 2, 1, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", MEANT)
def test_what_is_meant_so_is_not_told(name: str) -> None:
    assert told(MEANT[name]) == []


def test_one_warning_names_the_first_ones_and_counts_the_others() -> None:
    def build(n: Net, x: str) -> str:
        shared = n.const(holding(NAN, 2, 1, 1))
        for value in (NAN, INF, 1e31, 1e32, 1e33):
            x = n.add("Mul", n.add("Mul", x, shared), holding(value, 2, 1, 1))
        return x

    (warning,) = told(build)
    others = "c1 (NaN), c2 (infinity), c3 (numbers as large as 1e+31), and 2 more"
    assert warning.message == f"the constant c0 holds NaN; there are also {others}" and warning.node == "Mul_0"
