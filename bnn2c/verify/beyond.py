"""Where a reference leaves the real numbers: NaN, or an infinity made of finite numbers.

From there on real arithmetic says nothing, and executors differ: a product by an infinite constant, 0 / 0, or a sum
beyond 3.4e38 that another order of additions keeps finite (docs/exactness.md, "NaN and infinity").
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bnn2c.expr import Arg, Expr
from bnn2c.expr.tree import fold
from bnn2c.ir import Graph, Node
from bnn2c.verify.bounded import Array
from bnn2c.verify.evaluate import Values

__all__ = ["beyond_reals"]


def beyond_reals(seen: Mapping[str, Array], graph: Graph, values: Values) -> str | None:
    """The first tensor of the reference that is NaN, or infinite where something overflows; else None.

    An infinity that the model gives, -inf in an attention mask say, is an ordinary number for as long as it stays one.

    Args:
        seen: all tensors of the reference.
        graph: the imported graph.
        values: its values on the same sample.
    """
    real = {name: array for name, array in seen.items() if array.dtype.kind == "f"}
    undefined = [name for name, array in real.items() if np.isnan(array).any()]
    if undefined:
        return undefined[0]
    infinite = [name for name, array in real.items() if np.isinf(array).any()]
    return infinite[0] if infinite and any(_overflows(node, values) for node in graph.nodes) else None


def _overflows(node: Node, values: Values) -> bool:
    """Whether operands and constants are finite, and the result is not."""
    if _finite(values[node.output].value) or not all(_finite(values[name].value) for name in node.inputs):
        return False
    return all(_finite_constant(value) for value in vars(node.op).values())


def _finite_constant(value: object) -> bool:
    """Whether a field of an operation (array, number, expression or anything else) holds finite numbers only."""
    if isinstance(value, Expr):
        return fold(value, lambda e: isinstance(e, Arg) or _finite(e.value), lambda _, args: all(args))
    return _finite(np.asarray(value)) if isinstance(value, (np.ndarray, float)) else True


def _finite(array: Array) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())
