"""Constant folding: nodes whose operands are all known run in ONNX's reference evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import prod

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from bnn2c.importer.inference import ends_process, infer_node
from bnn2c.importer.limits import subgraphs
from bnn2c.importer.tensors import Array

SMALL_NODE_BYTES = 4096
# The result would change from run to run, or text and pictures would be decoded with what the file says.
_REFUSED_TEXT = """
    Bernoulli ImageDecoder Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike
    RegexFullMatch StringNormalizer StringSplit StringConcat TfIdfVectorizer
"""
REFUSED = frozenset(_REFUSED_TEXT.split())
# The sizes of their results follow from the sizes of their operands alone, at most as their product.
_BOUNDED_TEXT = """
    Abs Add And Cast Ceil Concat Constant Div Equal Exp Floor Gather Greater GreaterOrEqual Identity Less
    LessOrEqual Log MatMul Max Min Mod Mul Neg Not Or Pow Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum Reshape Round Shape Sigmoid Sign Size Slice Split Sqrt Squeeze Sub Sum Transpose Unsqueeze Where
    Xor
"""
BOUNDED = frozenset(_BOUNDED_TEXT.split())
# The evaluator knows these operators from that version on; it only added attributes with defaults.
EVALUATED_SINCE = {"DequantizeLinear": 19, "QuantizeLinear": 19}
UNTOLD = frozenset(["Compress", "NonZero", "Unique", "NonMaxSuppression"])


class FoldingRefused(ValueError):
    """The node cannot be evaluated at compile time, with the reason."""


def fold(proto: onnx.NodeProto, operands: Sequence[Array | None], opset: int, limit: int) -> list[Array]:
    """The node's outputs.

    Args:
        proto: the node.
        operands: its operands, None for those that are absent.
        opset: version of the standard operators.
        limit: most elements of a result.

    Raises:
        FoldingRefused: the result is random, text, or too large.
        Exception: whatever the evaluator raises when it does not know the operator or the operands do not fit.
    """
    feeds = {n: a for n, a in zip(proto.input, operands, strict=True) if a is not None}
    if proto.op_type == "OneHot" and len(proto.input) > 1 and proto.input[1] in feeds:
        feeds[proto.input[1]] = feeds[proto.input[1]].reshape(())  # torch writes [depth]; the evaluator wants a scalar
    if proto.op_type in REFUSED or any(a.dtype.kind in "OSU" for a in feeds.values()) or any(subgraphs(proto)):
        raise FoldingRefused("its result is random, text, or computed by a subgraph")
    if proto.op_type not in BOUNDED or prod(a.size or 1 for a in feeds.values()) > limit:
        _check_sizes(proto, feeds, opset, limit)
    with np.errstate(all="ignore"):
        found = CORRECTED.get(proto.op_type, _run)(proto, feeds, opset)
    return [np.asarray(a) for a in found]


def _batch_normalization(proto: onnx.NodeProto, feeds: Mapping[str, Array], opset: int) -> list[Array]:
    """Before opset 14 the evaluator trains where there is a momentum, as there always is."""
    return _run(_without(proto, ["is_test", "spatial", "momentum"]), feeds, max(opset, 15))


def _softmax(proto: onnx.NodeProto, feeds: Mapping[str, Array], opset: int) -> list[Array]:
    """Before opset 13 all axes from the given one, by default the second, are one; the evaluator knows the new form."""
    if opset >= 13:
        return _run(proto, feeds, opset)
    (name, x), *_ = feeds.items()
    axis = next((a.i for a in proto.attribute if a.name == "axis"), 1)
    rows = prod(x.shape[: axis % x.ndim])
    (found,) = _run(_without(proto, ["axis"]), {name: x.reshape(rows, -1)}, 13)
    return [found.reshape(x.shape)]


def _lp_normalization(proto: onnx.NodeProto, feeds: Mapping[str, Array], opset: int) -> list[Array]:
    """The evaluator sums signed numbers where p is 1."""
    if next((a.i for a in proto.attribute if a.name == "p"), 2) != 1:
        return _run(proto, feeds, opset)
    (x,) = feeds.values()
    sums = np.abs(x).sum(next((a.i for a in proto.attribute if a.name == "axis"), -1), keepdims=True)
    return [np.where(sums == 0, 0, x / sums).astype(x.dtype)]


def _local_response(proto: onnx.NodeProto, feeds: Mapping[str, Array], opset: int) -> list[Array]:
    raise FoldingRefused("the evaluator leaves a channel out of each sum")


def _without(proto: onnx.NodeProto, attributes: Sequence[str]) -> onnx.NodeProto:
    changed = onnx.NodeProto()
    changed.CopyFrom(proto)
    del changed.attribute[:]
    changed.attribute.extend(a for a in proto.attribute if a.name not in attributes)
    return changed


# Operators of which the evaluator computes another function than ONNX defines.
CORRECTED: Mapping[str, Callable[[onnx.NodeProto, Mapping[str, Array], int], list[Array]]] = {
    "BatchNormalization": _batch_normalization,
    "LpNormalization": _lp_normalization,
    "LRN": _local_response,
    **dict.fromkeys(["Softmax", "LogSoftmax", "Hardmax"], _softmax),
}


def _run(proto: onnx.NodeProto, feeds: Mapping[str, Array], opset: int) -> list[Array]:
    """Evaluate; sessions of small nodes are kept, since loops evaluate them again and again."""
    session = _cached if proto.ByteSize() <= SMALL_NODE_BYTES else _session
    return list(session(proto.SerializeToString(deterministic=True), tuple(feeds), opset).run(None, dict(feeds)))


def _session(serialised: bytes, names: tuple[str, ...], opset: int) -> ReferenceEvaluator:
    proto = onnx.NodeProto.FromString(serialised)
    inputs = [helper.make_tensor_value_info(n, onnx.TensorProto.UNDEFINED, None) for n in names]
    outputs = [helper.make_tensor_value_info(n, onnx.TensorProto.UNDEFINED, None) for n in proto.output if n]
    graph = helper.make_graph([proto], "constant", inputs, outputs)
    version = max(opset, EVALUATED_SINCE.get(proto.op_type, 0))
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)]))


_cached = lru_cache(maxsize=512)(_session)


def _check_sizes(proto: onnx.NodeProto, feeds: Mapping[str, Array], opset: int, limit: int) -> None:
    """Refuse results of more than `limit` elements before they are made, by ONNX's own shape inference."""
    if proto.op_type == "Slice":  # never larger than its operand
        return
    if ends_process(proto):
        raise FoldingRefused("an attribute is out of range")
    found = infer_node(proto, feeds, opset)
    for info in found.output:
        shape = info.type.tensor_type.shape
        told = info.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in shape.dim)
        if not told and proto.op_type not in UNTOLD:
            raise FoldingRefused("the size of its result cannot be told")
        if told and prod(d.dim_value for d in shape.dim) > limit:
            raise FoldingRefused(f"its result {[d.dim_value for d in shape.dim]} has more than {limit} elements")
