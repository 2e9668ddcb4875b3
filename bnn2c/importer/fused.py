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
