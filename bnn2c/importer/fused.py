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
    left, right = ("ji" if r.attrs.get("transA") else "ij"), ("kj" if r.attrs.get("transB") else "jk")
    if r.attrs.get("transBatchA") or r.attrs.get("transBatchB"):
        raise r.refuse("FusedMatMul that exchanges batch axes is not supported")
    if (left, right) == ("ij", "jk"):
        out = r.add("MatMul", *r.node.input[:2])
    elif r.opset < 12:
        raise r.refuse("FusedMatMul that transposes is understood from opset 12 on")
    else:
        out = r.add("Einsum", *r.node.input[:2], equation=f"...{left},...{right}->...ik")
    r.add("Mul", out, r.const(r.attrs.get("alpha", 1.0)), output=r.node.output[0])


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
