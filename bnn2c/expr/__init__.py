"""Elementwise expressions: what an ONNX chain of elementwise operators computes, as one small tree."""

from bnn2c.expr.tree import (
    Apply,
    Arg,
    Const,
    Expr,
    Real,
    apply,
    compress,
    const,
    evaluate,
    remap_consts,
    substitute,
    uses_args,
)

__all__ = [
    "Apply",
    "Arg",
    "Const",
    "Expr",
    "Real",
    "apply",
    "compress",
    "const",
    "evaluate",
    "remap_consts",
    "substitute",
    "uses_args",
]
