"""What float32 arithmetic costs on a core without FPU: the prediction of warning BNN024."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from bnn2c.expr import Apply
from bnn2c.expr.functions import FUNCTIONS
from bnn2c.expr.tree import count_nodes
from bnn2c.ir import Graph, Op, TensorType
from bnn2c.ir.op import Array
from bnn2c.kernels.cores import core_of
from bnn2c.ops.average_pool import AveragePool
from bnn2c.ops.loop import Loop
from bnn2c.ops.map import Map
from bnn2c.ops.reduce import Reduce
from bnn2c.ops.sign_conv2d import SignedSums
from bnn2c.ops.softmax import Softmax
from bnn2c.targets import Target

__all__ = ["soft_float_instructions"]

# Instructions of a product that is added to a sum, of another operation, and of an exponential function or one of the
# C library: by libgcc, medians of the layers of nine networks under QEMU. Cortex-M0 and RV32IMC differ by a tenth.
_THUMB_2 = (91, 54, 1150)
_OTHERS = (195, 79, 2400)
_SIGNS = 3  # additions of signed sums: four weights share one, and sixteen sums are made for each four inputs
_NONE = np.zeros(3, np.int64)


def soft_float_instructions(graph: Graph, target: Target) -> dict[str, int]:
    """Node output -> predicted instructions of its float32 arithmetic, for nodes that have any.

    Args:
        graph: lowered graph; of a stream the graph of one step.
        target: of which the core counts.

    Returns:
        products, sums, elementwise functions of all pixels and all steps of loops; not what copies and compares.
    """
    each = _THUMB_2 if core_of(target) == "cortex-m" else _OTHERS
    work = {node.output: _operations(node.op, graph.input_types(node)) for node in graph.nodes}
    return {name: int(counts @ each) for name, counts in work.items() if counts.any()}


def _operations(op: Op, inputs: Sequence[TensorType]) -> Array:
    """Products that are added up, other operations, and curves of one inference, int64 [3]."""
    if isinstance(op, Loop):
        body = [_operations(node.op, op.body.input_types(node)) for node in op.body.nodes]
        return np.asarray(op.steps * sum(body, _NONE))
    if op.kind.startswith("fixed_"):
        return _NONE
    work, others, curves = op.cost(inputs), 0, 0
    conv, mapped = getattr(op, "conv", op), getattr(op, "map", op)
    if isinstance(conv, SignedSums):
        others += work.binary_macs // _SIGNS
    if isinstance(mapped, Map):
        curves = count_nodes(mapped.expr, _is_curve) * prod(mapped.shape)
        others += count_nodes(mapped.expr) * prod(mapped.shape) - curves
    if isinstance(op, (AveragePool, Reduce)) and inputs[0].storage == "f32":
        others += inputs[0].size
    if isinstance(op, Softmax):
        curves += inputs[0].size
    return np.array([work.real_macs, others, curves])


def _is_curve(part: Apply) -> bool:
    return FUNCTIONS[part.fn].approximate and part.fn != "sqrt"
