"""Constant folding: nodes whose operands are all known run in ONNX's reference evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from bnn2c.importer.tensors import Array

MAX_FOLDED_ELEMENTS = 1 << 27


def fold(proto: onnx.NodeProto, operands: Sequence[Array | None], opset: int) -> list[Array]:
    """The node's outputs.

    Raises:
        NotImplementedError: the evaluator does not know the operator.
        ValueError: the operands do not fit.
    """
    names = [n for n, a in zip(proto.input, operands, strict=True) if a is not None]
    feeds = {n: a for n, a in zip(proto.input, operands, strict=True) if a is not None}
    session = _session(proto.SerializeToString(), tuple(dict.fromkeys(names)), opset)
    found = session.run(None, feeds)
    return [np.asarray(a) for a in found]


@cache
def _session(serialised: bytes, names: tuple[str, ...], opset: int) -> ReferenceEvaluator:
    proto = onnx.NodeProto.FromString(serialised)
    inputs = [helper.make_tensor_value_info(n, onnx.TensorProto.UNDEFINED, None) for n in names]
    outputs = [helper.make_tensor_value_info(n, onnx.TensorProto.UNDEFINED, None) for n in proto.output if n]
    graph = helper.make_graph([proto], "constant", inputs, outputs)
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]))
