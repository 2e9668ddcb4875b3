"""Invalid models by hand: each diagnostic names the node and says in ONNX's terms what is wrong, never in Python's."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import pytest
from models import Net, compiled

from bnn2c.errors import CompileError, Diagnostic

PYTHON = re.compile(
    r"broadcast|numpy|ndarray|np\.|array|index out of range|tuple|<class|unpack|NoneType|KeyError|object"
)
Case = tuple[str, list[list[int]], list[Any], dict[str, Any], str]


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def ids(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


X, IMAGE, WEIGHTS = [1, 8], [1, 3, 8, 8], ones(4, 3, 3, 3)
# Operator, shapes of the inputs, constants, attributes, what the diagnostic says.
CASES: list[Case] = [
    ("Add", [X], [ones(7)], {}, "Incompatible dimensions"),
    ("Add", [X, [1, 7]], [], {}, "Incompatible dimensions"),
    ("Where", [X, X], [np.ones(3, bool)], {}, "Incompatible dimensions"),
    ("PRelu", [IMAGE], [ones(7)], {}, "shapes of its operands cannot be combined"),
    ("Clip", [X], [ones(3)], {}, "shapes of its operands cannot be combined"),
    ("MatMul", [X], [ones(7, 3)], {}, "8 inputs for 7 weights"),
    ("MatMul", [[1, 8, 4], [1, 5, 3]], [], {}, "have no product"),
    ("Gemm", [X], [ones(8, 3), ones(4)], {}, "shapes of its operands cannot be combined"),
    ("Conv", [IMAGE], [ones(4, 5, 3, 3)], {}, "3 input channels, weights want 5"),
    ("Conv", [[1, 3, 8]], [WEIGHTS], {}, "Number of spatial dimensions in the weight tensor (2)"),
    ("Conv", [IMAGE], [WEIGHTS], {"pads": [1, 1]}, "Attribute pads has incorrect size"),
    ("Conv", [IMAGE], [WEIGHTS], {"strides": [2]}, "Attribute strides has incorrect size"),
    ("Conv", [IMAGE], [WEIGHTS, ones(5)], {}, "shapes of its operands cannot be combined"),
    ("Conv", [IMAGE], [ones(3)], {}, "Number of spatial dimensions"),
    ("BatchNormalization", [IMAGE], [ones(4)] * 4, {}, "Dimension mismatch in unification between 4 and 3"),
    ("BatchNormalization", [IMAGE], [ones(3)] * 3 + [-ones(3)], {}, "the variance of node is negative in channel 0"),
    ("BatchNormalization", [IMAGE], [ones(3)] * 2, {}, "the node has 3 inputs, the operator has 5"),
    ("LayerNormalization", [X], [ones(5)], {}, "shapes of its operands cannot be combined"),
    ("MaxPool", [IMAGE], [], {}, "Required attribute 'kernel_shape' is missing"),
    ("MaxPool", [IMAGE], [], {"kernel_shape": [2]}, "Attribute kernel_shape has incorrect size"),
    ("Concat", [X, X], [], {"axis": 5}, "axis 5 of an operand with 2 axes"),
    ("Concat", [[1, 2, 4], [1, 3, 3]], [], {"axis": 1}, "do not agree outside of axis 1"),
    ("Softmax", [X], [], {"axis": 2}, "axis 2 of an operand with 2 axes"),
    ("ArgMax", [X], [], {"axis": -3}, "axis -3 of an operand with 2 axes"),
    ("ReduceMean", [X], [], {"axes": [4]}, "axis 4 of an operand with 2 axes"),
    ("ReduceSum", [X], [ids(4)], {}, "axis 4 of an operand with 2 axes"),
    ("Flatten", [X], [], {"axis": 3}, "axis 3 of an operand with 2 axes"),
    ("Slice", [X], [ids(0), ids(4), ids(2)], {}, "Slice is asked for axis 2 of an operand with 2 axes"),
    ("Slice", [X], [ids(0, 0), ids(1, 4), ids(1)], {}, "2 numbers as starts, 2 numbers as ends, 1 number as axes"),
    ("Slice", [X], [ids(0, 0), ids(1, 4), ids(1, -1)], {}, "Slice names an axis twice: [1, -1]"),
    ("Squeeze", [X], [ids(2)], {}, "axis 2 of an operand with 2 axes"),
    ("Conv", [IMAGE], [WEIGHTS * np.nan], {}, "the constant c0 holds NaN"),
    ("BatchNormalization", [IMAGE], [ones(3), ones(3) * np.inf, ones(3), ones(3)], {}, "the constant c1 holds inf"),
    ("QuantizeLinear", [X], [ones(8), np.zeros(8, np.uint8)], {"axis": 4}, "axis 4 of an operand with 2 axes"),
    ("Transpose", [[1, 2, 3]], [], {"perm": [0, 1]}, "the axes are no permutation"),
    ("Transpose", [[1, 2, 3]], [], {"perm": [0, 1, 5]}, "Invalid attribute perm"),
    ("Reshape", [X], [ids(3, 3)], {}, "cannot reshape [1, 8] to [3, 3]"),
    ("Reshape", [X], [ids(1, 8, 0)], {}, "Invalid position of 0"),
    ("Expand", [X], [ids(3, 5)], {}, "Incompatible dimensions"),
    ("Tile", [X], [ids(2)], {}, "Tile of [1, 8] by [2]"),
    ("Squeeze", [X], [ids(1)], {}, "must be 1 instead of 8"),
    ("Unsqueeze", [X], [ids(9)], {}, "Unexpected axis value: 9"),
    ("Gather", [X], [ids(9)], {"axis": 1}, "an axis or index lies outside of the operand"),
    ("ScatterElements", [X], [ids(9)[None], ones(1, 1)], {"axis": 1}, "a place lies outside of the axis"),
    ("Slice", [X], [ids(0), ids(2), ids(1), ids(0)], {}, "a step is 0"),
    ("Pad", [X], [ids(1, 1)], {}, "Pads has incorrect number of values"),
    ("GatherND", [[2, 2, 2]], [ids(1, 0)], {"batch_dims": -1}, "batch_dims is -1"),
    ("DepthToSpace", [[1, 5, 4, 4]], [], {"blocksize": 2}, "the number of elements is not that of the sizes"),
    ("Resize", [IMAGE], ["", ones(2)], {}, "must be same as rank of input 'X'"),
    ("GRU", [[5, 4]], [ones(1, 9, 4), ones(1, 9, 3)], {"hidden_size": 3}, "First input tensor must have rank 3"),
    ("Cast", [X], [], {"to": 77}, "Attribute to does not specify a valid type"),
    ("Relu", [[1, 0, 3]], [], {}, "axis 1 of input x0 has the size 0"),
    ("Relu", [X], [], {"slope": 3}, "Unrecognized attribute: slope"),
    ("Relu", [], [], {}, "the node has 0 inputs, the operator has 1"),
]  # fmt: skip
FOLDED: list[Case] = [
    ("Add", [], [ones(8, 3), ones(4)], {}, "Incompatible dimensions"),
    ("MatMul", [], [ones(8, 3), ones(8, 4)], {}, "Incompatible dimensions for matrix multiplication"),
    ("Transpose", [], [ones(8, 3)], {"perm": [0, 3]}, "Invalid attribute perm"),
    ("Gather", [], [ones(8, 3), ids(9)], {}, "an axis or index lies outside of the operand"),
    ("Concat", [], [ones(8, 3), ones(8, 4)], {"axis": 0}, "Can't merge shape info"),
    ("Reshape", [], [ones(8, 3), ids(5, 5)], {}, "the number of elements is not that of the sizes"),
    ("Slice", [], [ones(8, 3), ids(0), ids(1), ids(5)], {}, "Slice is asked for axis 5 of an operand with 2 axes"),
    ("Conv", [], [ones(1, 3, 4, 4), ones(2, 5, 3, 3)], {}, "another type, rank or number"),
    ("Cast", [], [ones(8, 3)], {"to": 99}, "Attribute to does not specify a valid type"),
    ("Div", [], [ones(8, 3), np.ones((8, 3), np.int32)], {}, "B has inconsistent type tensor(int32)"),
    ("Range", [], [np.int64(0), np.int64(5), np.int64(0)], {}, "a step or divisor is 0"),
    ("Expand", [], [ones(8, 3), ids(2, 2)], {}, "Incompatible dimensions"),
]  # fmt: skip


def problem(case: Case, folded: bool) -> Diagnostic:
    """The one diagnostic of a node with these operands; `folded`: in front of a product with the input."""
    op, shapes, constants, attributes, _ = case
    n = Net()
    inputs = [n.input(shape, f"x{i}") for i, shape in enumerate(shapes)]
    out = n.add(op, *inputs, *constants, name="node", **attributes)
    model = n.model(n.add("MatMul", n.input([1, 8]), out) if folded else out, shape=[])
    with pytest.raises(CompileError) as caught:
        compiled(model)
    (found,) = caught.value.diagnostics
    return found


@pytest.mark.parametrize(("case", "folded"), [(c, False) for c in CASES] + [(c, True) for c in FOLDED])
def test_what_is_wrong_is_told_in_the_terms_of_onnx(case: Case, folded: bool) -> None:
    found = problem(case, folded)
    assert case[-1] in found.message and not PYTHON.search(found.message)
    assert found.node in ("node", "x0")
    assert found.code in ("BNN003", "BNN005", "BNN006", "BNN007", "BNN011")


def test_text_is_no_tensor_of_numbers() -> None:
    n = Net()
    with pytest.raises(CompileError) as caught:
        compiled(n.model(n.add("Sign", n.input([1, 8], "x", onnx.TensorProto.STRING)), shape=[]))
    assert [(d.message, d.node) for d in caught.value.diagnostics] == [("tensors of text are not supported", "x")]


def test_an_operator_with_a_body_is_named_itself() -> None:
    """Attention is imported by ONNX's definition of it; what is wrong is not told about a node of that."""
    n = Net()
    n.opset = 23
    x = [n.input([1, 4, size], f"x{i}") for i, size in enumerate((8, 8, 7))]
    with pytest.raises(CompileError) as caught:
        compiled(n.model(n.add("Attention", *x, name="node"), shape=[]))
    (found,) = caught.value.diagnostics
    assert found.node == "node" and "3D inputs expected to have q_num_heads attribute" in found.message
