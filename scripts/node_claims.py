"""What bnn2c claims of ONNX's operators: the limits of the supported forms, stated before a test is run.

A node test whose operators are all imported is *claimed* unless one of `LIMITS` excludes it; every claimed test has to
pass. The texts are printed in docs/onnx-operators.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from bnn2c.importer.handlers.winners import MAX_WINNERS
from bnn2c.importer.load import OLDEST_OPSET

TYPES = frozenset(
    getattr(TensorProto, name)
    for name in (
        *("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "BOOL", "INT8", "INT16", "INT32", "INT64"),
        *("UINT8", "UINT16", "UINT32", "UINT64"),
    )
)


@dataclass(frozen=True)
class Limit:
    """A form of some operators that is not claimed; `excludes` looks at a node test and one of its nodes."""

    operators: tuple[str, ...]
    text: str
    excludes: Callable[[Any, onnx.NodeProto], bool]


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """An attribute's value; strings as text."""
    found = next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)
    return found.decode() if isinstance(found, bytes) else found


def given(case: Any, node: onnx.NodeProto, position: int) -> Any:
    """The array that the test feeds to an operand; None when it is absent or computed."""
    name = node.input[position] if position < len(node.input) else ""
    names = [info.name for info in case.model.graph.input]
    return np.asarray(case.data_sets[0][0][names.index(name)]) if name in names else None


def rank(case: Any, node: onnx.NodeProto) -> int:
    """Rank of the first operand."""
    found = given(case, node, 0)
    return 0 if found is None else found.ndim


def _other_types(case: Any, node: onnx.NodeProto) -> bool:
    ports = [*case.model.graph.input, *case.model.graph.output]
    kinds = {port.type.tensor_type.elem_type for port in ports if port.type.HasField("tensor_type")}
    return not kinds <= TYPES or attribute(node, "to", TensorProto.FLOAT) not in TYPES


def _not_tensors(case: Any, node: onnx.NodeProto) -> bool:
    return not all(port.type.HasField("tensor_type") for port in (*case.model.graph.input, *case.model.graph.output))


def _empty(case: Any, node: onnx.NodeProto) -> bool:
    inputs, results = case.data_sets[0]
    return any(np.size(value) == 0 for value in (*inputs[:1], *results))


def _stretched(case: Any, node: onnx.NodeProto) -> bool:
    if attribute(node, "coordinate_transformation_mode") != "align_corners" or attribute(node, "mode") != "linear":
        return False
    scales = given(case, node, 2)
    return scales is not None and bool((np.asarray(given(case, node, 0).shape) * scales % 1).any())


def _diagonal(case: Any, node: onnx.NodeProto) -> bool:
    terms = attribute(node, "equation").replace(" ", "").replace("...", "").split("->")[0].split(",")
    return any(len(set(term)) != len(term) for term in terms) or not any(terms)


def _random(case: Any, node: onnx.NodeProto) -> bool:
    ratio, training = given(case, node, 1), given(case, node, 2)
    return training is not None and bool(training) and (ratio is None or bool(ratio != 0))


def _bfloat16(case: Any, node: onnx.NodeProto) -> bool:
    return any(port.type.tensor_type.elem_type == TensorProto.BFLOAT16 for port in case.model.graph.input)


def _old(case: Any, node: onnx.NodeProto) -> bool:
    return any(used.domain == "" and used.version < OLDEST_OPSET for used in case.model.opset_import)


def _large(case: Any, node: onnx.NodeProto) -> bool:
    numbers = [value for value in case.data_sets[0][0] if np.asarray(value).dtype.kind in "iu"]
    return any((np.abs(np.asarray(value, np.float64)) > 2**24).any() for value in numbers)


LIMITS: tuple[Limit, ...] = (
    Limit((), f"opsets before {OLDEST_OPSET}", _old),
    Limit((), "elements of 2 or 4 bits, float8, float4", _other_types),
    Limit((), "sequences and optional values", _not_tensors),
    Limit((), "tensors without elements", _empty),
    Limit(("AveragePool", "LpPool", "MaxPool"), "3-D windows", lambda c, n: rank(c, n) > 4),
    Limit(("MaxPool",), "the second output, indices", lambda c, n: len(n.output) > 1),
    Limit(("ConvTranspose",), "3-D windows", lambda c, n: rank(c, n) > 4),
    Limit(("Attention",), "every result rounded to bfloat16", _bfloat16),
    Limit(("BatchNormalization",), "training mode", lambda c, n: bool(attribute(n, "training_mode", 0))),
    Limit(("Dropout",), "training mode with a ratio other than 0, which is random", _random),
    Limit(("Resize",), "cubic interpolation", lambda c, n: attribute(n, "mode") == "cubic"),
    Limit(("Resize",), "antialiasing", lambda c, n: bool(attribute(n, "antialias", 0))),
    Limit(("Resize",), "cropping", lambda c, n: "crop" in attribute(n, "coordinate_transformation_mode", "")),
    Limit(("Resize",), "align_corners with a fractional size, which is ambiguous", _stretched),
    Limit(("TopK",), f"k above {MAX_WINNERS}", lambda c, n: bool((given(c, n, 1) > MAX_WINNERS).any())),
    Limit(("RNN", "GRU", "LSTM"), "lengths of sequences that are computed", lambda c, n: given(c, n, 4) is not None),
    Limit(("QuantizeLinear", "DequantizeLinear"), "blocks", lambda c, n: attribute(n, "block_size", 0) != 0),
    Limit(("BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"), "integers beyond 2^24", _large),
    Limit(("Einsum",), "diagonals and scalars", _diagonal),
)  # fmt: skip


def limit_of(case: Any) -> Limit | None:
    """The limit that excludes a node test, None when it is claimed."""
    for node in case.model.graph.node:
        for limit in LIMITS:
            if (not limit.operators or node.op_type in limit.operators) and limit.excludes(case, node):
                return limit
    return None
