"""The fused operators of ONNX Runtime's graph optimiser as standard nodes."""

from __future__ import annotations

import numpy as np

from bnn2c.importer.rewriter import Rewriter


def fused(r: Rewriter) -> None:
    """ONNX Runtime's FusedConv / FusedGemm: the operator, an optional sum, an activation."""
    names = {"activation", "activation_params", "activation_alpha", "activation_beta", "activation_gamma"}
    attrs = {k: v for k, v in r.attrs.items() if k not in names}
    out = r.add(r.node.op_type.removeprefix("Fused"), *r.node.input[:3], **attrs)
    if len(r.node.input) > 3 and r.node.input[3]:
        out = r.add("Add", out, r.node.input[3])
    _activation(r, out)


def fused_mat_mul(r: Rewriter) -> None:
    """`alpha * A' B'`, where a prime exchanges the last two axes if `transA` or `transB` says so."""
    if r.attrs.get("transBatchA") or r.attrs.get("transBatchB"):
        raise r.refuse("FusedMatMul that exchanges batch axes is not supported")
    turns = zip(r.node.input[:2], ("transA", "transB"), strict=True)
    operands = [_exchanged(r, name) if r.attrs.get(turn) else name for name, turn in turns]
    r.add("Mul", r.add("MatMul", *operands), r.const(r.attrs.get("alpha", 1.0)), output=r.node.output[0])


def _exchanged(r: Rewriter, name: str) -> str:
    """The last two axes exchanged; Transpose has to know how many there are."""
    rank = r.constants[name].ndim if name in r.constants else r.ranks.get(name)
    if rank is not None:
        return r.add("Transpose", name, perm=[*range(rank - 2), rank - 1, rank - 2])
    if r.opset < 12:
        message = f"FusedMatMul that transposes {name}, whose shape the model does not state, needs opset 12"
        raise r.refuse(message)
    return r.add("Einsum", name, equation="...ij->...ji")


def gelu(r: Rewriter) -> None:
    """`x (1 + erf(x / sqrt(2))) / 2`; BiasGelu adds its second operand first."""
    x = _sum(r, *r.node.input[:2])
    error = r.add("Erf", r.add("Div", x, r.const(np.sqrt(2.0))))
    r.add("Mul", r.add("Mul", x, r.add("Add", error, r.const(1.0))), r.const(0.5), output=r.node.output[0])


def fast_gelu(r: Rewriter) -> None:
    """`x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2` of the operand plus its bias."""
    x = _sum(r, *r.node.input[:2])
    cube = r.add("Mul", r.add("Mul", r.add("Mul", x, x), x), r.const(0.044715))
    bent = r.add("Tanh", r.add("Mul", r.add("Add", x, cube), r.const(np.sqrt(2.0 / np.pi))))
    r.add("Mul", r.add("Mul", x, r.add("Add", bent, r.const(1.0))), r.const(0.5), output=r.node.output[0])


def quick_gelu(r: Rewriter) -> None:
    """`x sigmoid(alpha x)`, which is SiLU for alpha = 1."""
    x, alpha = r.node.input[0], r.attrs.get("alpha", 1.702)
    inner = x if alpha == 1.0 else r.add("Mul", x, r.const(alpha))
    r.add("Mul", x, r.add("Sigmoid", inner), output=r.node.output[0])


def skip_layer_normalization(r: Rewriter) -> None:
    """LayerNormalization over the last axis of the sum of two operands and a bias; the sum is the fourth output."""
    operands, outputs = [*r.node.input, "", "", ""], [*r.node.output, "", "", ""]
    if any(outputs[1:3]):
        raise r.refuse(f"the statistics of {r.node.op_type} are for training")
    x = _sum(r, operands[0], operands[1], operands[4])
    centred = r.add("Sub", x, _last_mean(r, x))
    spread = r.add("Add", _last_mean(r, r.add("Mul", centred, centred)), r.const(r.attrs.get("epsilon", 1e-12)))
    scaled = r.add("Mul", r.add("Div", centred, r.add("Sqrt", spread)), operands[2])
    r.add("Add" if operands[3] else "Identity", *filter(None, (scaled, operands[3])), output=outputs[0])
    if outputs[3]:
        r.add("Identity", x, output=outputs[3])


def _sum(r: Rewriter, first: str, *others: str) -> str:
    """The sum of the operands that are given."""
    for other in filter(None, others):
        first = r.add("Add", first, other)
    return first


def _last_mean(r: Rewriter, x: str) -> str:
    """The mean along the last axis, which stays with size 1; its number is an operand from opset 18 on."""
    if r.opset < 18:
        return r.add("ReduceMean", x, axes=[-1], keepdims=1)
    return r.add("ReduceMean", x, r.const([-1], np.int64), keepdims=1)


def _activation(r: Rewriter, x: str) -> None:
    kind = r.attrs.get("activation", "")
    given = r.attrs.get("activation_params", [])
    alpha = r.attrs.get("activation_alpha", given[0] if given else None)
    if kind == "Clip":
        x = r.add("Max", x, r.const(given[0] if given else -np.inf))
        r.add("Min", x, r.const(given[1] if len(given) > 1 else np.inf), output=r.node.output[0])
    elif kind in ("LeakyRelu", "HardSigmoid") and alpha is not None:
        r.add(kind, x, output=r.node.output[0], alpha=float(alpha))
    else:
        r.add(kind or "Identity", x, output=r.node.output[0])
