"""Activation functions that ONNX defines by a formula of simpler ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.registry import handles
from bnn2c.importer.tensors import Tensor


@handles("PRelu", "LeakyRelu")
def leaky(ctx: Context, call: Call) -> Sequence[Tensor]:
    """`x < 0 ? slope * x : x`; a PRelu slope of fewer axes is unidirectionally broadcast."""
    x = call.tensor(0)
    slope: Tensor | float = call.tensor(1) if call.op == "PRelu" else call.attrs.get("alpha", 0.01)
    return [ctx.elementwise("where", ctx.elementwise("lt", x, 0.0), ctx.elementwise("mul", slope, x), x)]


@handles("HardSigmoid", "HardSwish")
def hard(ctx: Context, call: Call) -> Sequence[Tensor]:
    """`max(0, min(1, alpha x + beta))`, times x for HardSwish."""
    x = call.tensor(0)
    swish = call.op == "HardSwish"
    alpha = 1 / 6 if swish else call.attrs.get("alpha", 0.2)
    beta = 0.5 if swish else call.attrs.get("beta", 0.5)
    line = ctx.elementwise("add", ctx.elementwise("mul", x, alpha), beta)
    gate = ctx.elementwise("max", ctx.elementwise("min", line, 1.0), 0.0)
    return [ctx.elementwise("mul", x, gate) if swish else gate]


@handles("Softplus", "Softsign", "Elu", "Selu", "Celu", "ThresholdedRelu", "Reciprocal")
def smooth(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Formulae of the ONNX operator specification."""
    x = call.tensor(0)
    e = ctx.elementwise
    if call.op == "Reciprocal":
        return [e("div", 1.0, x)]
    if call.op == "Softplus":
        return [e("softplus", x)]
    if call.op == "Softsign":
        return [e("div", x, e("add", e("abs", x), 1.0))]
    if call.op == "ThresholdedRelu":
        return [e("where", e("gt", x, call.attrs.get("alpha", 1.0)), x, 0.0)]
    return [_exponential(ctx, call, x)]


def _exponential(ctx: Context, call: Call, x: Tensor) -> Tensor:
    """Elu, Selu and Celu: linear above zero, a shifted exponential below."""
    e = ctx.elementwise
    alpha = call.attrs.get("alpha", 1.67326319217681884765625 if call.op == "Selu" else 1.0)
    inner = e("div", x, alpha) if call.op == "Celu" else x
    below = e("mul", e("sub", e("exp", inner), 1.0), alpha)
    joined = e("where", e("lt", x, 0.0), below, x)
    return e("mul", joined, call.attrs.get("gamma", 1.05070102214813232421875)) if call.op == "Selu" else joined


@handles("Shrink")
def shrink(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Numbers between -lambd and lambd become 0, the others come nearer by the bias."""
    x, kind = call.tensor(0), call.tensor(0).dtype
    e = ctx.elementwise
    bias, end = call.attrs.get("bias", 0.0), call.attrs.get("lambd", 0.5)
    above = e("where", e("gt", x, end), e("sub", x, bias, dtype=kind), 0.0, dtype=kind)
    return [e("where", e("lt", x, -end), e("add", x, bias, dtype=kind), above, dtype=kind)]


@handles("Gelu", "Mish", "Swish")
def gated(ctx: Context, call: Call) -> Sequence[Tensor]:
    """Gelu (erf or tanh form), Swish and Mish: x times a gate."""
    x = call.tensor(0)
    e = ctx.elementwise
    if call.op == "Swish":
        return [e("mul", x, e("sigmoid", e("mul", x, call.attrs.get("alpha", 1.0))))]
    if call.op == "Mish":
        return [e("mul", x, e("tanh", e("softplus", x)))]
    if call.attrs.get("approximate") == "tanh":
        cubic = e("add", x, e("mul", e("mul", e("mul", x, x), x), 0.044715))
        gate = e("tanh", e("mul", cubic, float(np.sqrt(2 / np.pi))))
    else:
        gate = e("erf", e("mul", x, float(np.sqrt(0.5))))
    return [e("mul", e("mul", x, 0.5), e("add", gate, 1.0))]
