"""Operators of other domains, rewritten as standard ONNX nodes.

After this rewrite every tool that understands standard ONNX can check and execute the model, onnxruntime included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx

from bnn2c.errors import CompileError, Diagnostic, reason
from bnn2c.importer import finn, fused, quantisers
from bnn2c.importer.folding import fold
from bnn2c.importer.limits import array_of
from bnn2c.importer.rewriter import Rewriter

QUANTISER_DOMAINS = (
    "qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general", "finn", "qonnx.custom_op.channels_last",
    "qonnx.custom_op.channels_last.batch_normalization",
)  # fmt: skip
LOWERED_CONV = "Im2Col+MatMul"
SMALL = 1 << 20  # elements of a tensor that may hold parameters
Rewrite = Callable[[Rewriter], None]
REWRITES: dict[str, Rewrite] = {
    "BipolarQuant": quantisers.bipolar_quant,
    "Quant": quantisers.quant,
    "IntQuant": quantisers.quant,
    "Trunc": quantisers.trunc,
    "MultiThreshold": quantisers.multi_threshold,
    "XnorPopcountMatMul": quantisers.xnor_popcount,
    "MaxPoolNHWC": finn.max_pool_nhwc,
    "QuantAvgPool2d": finn.quant_avg_pool,
    "Im2Col": finn.im2col,
}
FUSED: dict[str, Rewrite] = {
    "FusedConv": fused.fused,
    "FusedGemm": fused.fused,
    "FusedMatMul": fused.fused_mat_mul,
    "Gelu": fused.gelu,
    "BiasGelu": fused.gelu,
    "FastGelu": fused.fast_gelu,
    "QuickGelu": fused.quick_gelu,
    "SkipLayerNormalization": fused.skip_layer_normalization,
}
CHANNELS_LAST = dict.fromkeys(("Conv", "MaxPool", "BatchNormalization"), finn.channels_last)


def custom_operators() -> list[str]:
    """Names of the operators outside of ai.onnx that are understood."""
    return sorted((*REWRITES, *FUSED))


def rewrite_of(domain: str, op_type: str) -> Rewrite | None:
    """What rewrites an operator; None for those that are none of these."""
    if domain in QUANTISER_DOMAINS or (not domain and op_type in REWRITES):
        if op_type == LOWERED_CONV:
            return finn.lowered_conv
        table = CHANNELS_LAST if "channels_last" in domain else REWRITES
        return table.get(op_type)
    return FUSED.get(op_type) if domain == "com.microsoft" else None


def expand_custom(model: onnx.ModelProto) -> None:
    """Replace custom nodes in place; raises the diagnostics of all those that cannot be expressed."""
    if not any(rewrite_of(node.domain, node.op_type) for node in model.graph.node):
        return
    constants = {t.name: array_of(t) for t in model.graph.initializer if _small(t)}
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 13)
    ranks = _ranks(model.graph)
    nodes: list[onnx.NodeProto] = []
    problems: list[Diagnostic] = []
    for node in _with_lowered_convs(model.graph):
        rewrite = rewrite_of(node.domain, node.op_type)
        if rewrite is None:
            constants |= _known(node, constants, opset)
            nodes.append(node)
            continue
        try:
            nodes.extend(_rewritten(rewrite, Rewriter(node, constants, opset, ranks)))
        except CompileError as error:
            problems.extend(error.diagnostics)
    if problems:
        raise CompileError(problems)
    _replace(model, nodes)


def _known(node: onnx.NodeProto, constants: Mapping[str, np.ndarray], opset: int) -> dict[str, np.ndarray]:
    """The results of a node that computes parameters: a Constant of any form, and what is made of constants alone."""
    if node.domain or not all(name in constants for name in node.input):
        return {}
    try:
        values = fold(node, [constants[name] for name in node.input], opset, SMALL)
    except Exception:  # noqa: BLE001 - the interpreter comes to this node, and says what is wrong with it
        return {}
    return dict(zip(node.output, values, strict=False))


def _ranks(graph: onnx.GraphProto) -> dict[str, int]:
    """Number of axes of every tensor whose shape the model states."""
    kinds = {v.name: v.type.tensor_type for v in (*graph.value_info, *graph.input)}
    stated = {name: len(kind.shape.dim) for name, kind in kinds.items() if kind.HasField("shape")}
    return stated | {tensor.name: len(tensor.dims) for tensor in graph.initializer}


def _with_lowered_convs(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes, each Im2Col joined with the MatMul that alone takes its patches: together they are a convolution."""
    uses = Counter([*(name for n in graph.node for name in n.input), *(o.name for o in graph.output)])
    found = [n for n in graph.node if n.op_type == "Im2Col" and n.output and uses[n.output[0]] == 1]
    patches = {n.output[0]: n for n in found}
    taken = [n for n in graph.node if n.op_type == "MatMul" and len(n.input) == 2 and n.input[0] in patches]
    joined = {id(n): _lowered_conv(patches[n.input[0]], n) for n in taken}
    gone = {n.input[0] for n in taken}
    return [joined.get(id(n), n) for n in graph.node if not (n.output and n.output[0] in gone)]


def _lowered_conv(patches: onnx.NodeProto, product: onnx.NodeProto) -> onnx.NodeProto:
    node = onnx.NodeProto()
    node.CopyFrom(patches)
    node.op_type, node.name = LOWERED_CONV, product.name
    node.input.append(product.input[1])
    node.output[:] = product.output
    return node


def replace_sign(model: onnx.ModelProto, at_zero: int) -> None:
    """Give every Sign of the graph the value that training meant at 0: `x >= 0 ? 1 : -1`, or `x > 0 ? 1 : -1`."""
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type != "Sign" or node.domain not in ("", "ai.onnx") or not (node.input and node.output):
            nodes.append(node)
            continue
        r = Rewriter(node, {}, 13)
        zero = r.const(0.0)
        side = r.at_least(node.input[0], zero) if at_zero > 0 else r.add("Less", zero, node.input[0])
        r.add("Where", side, r.const(1.0), r.const(-1.0), output=node.output[0])
        nodes.extend(r.nodes)
    _replace(model, nodes)


def _rewritten(rewrite: Rewrite, rewriter: Rewriter) -> list[onnx.NodeProto]:
    """The nodes that replace one; a node without the operands it must have is an invalid one."""
    node = rewriter.node
    try:
        rewrite(rewriter)
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        message = f"{node.op_type} is not what its definition says: {reason(error)}"
        raise CompileError.single("BNN003", message, node=node.name, op=node.op_type) from error
    return rewriter.nodes


def _small(tensor: onnx.TensorProto) -> bool:
    return int(np.prod(tensor.dims)) < SMALL and tensor.data_location != onnx.TensorProto.EXTERNAL


def _replace(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Install the new nodes."""
    copies = [onnx.NodeProto.FromString(n.SerializeToString()) for n in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
