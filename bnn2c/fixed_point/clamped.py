"""What a convolution can do for the elementwise operation behind it: scale, bias and saturation per channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnn2c.analysis.steps import Array, classes_of
from bnn2c.fixed_point.formats import NotFixed
from bnn2c.fixed_point.forms import Form, form_of
from bnn2c.ir import Graph, Node
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.map import Map
from bnn2c.ops.sign_conv2d import SignConv2d


@dataclass(frozen=True)
class Clamped:
    """`min(max(x * scale[c] + shift[c], low), high)`."""

    scale: Array
    shift: Array
    low: float = -np.inf
    high: float = np.inf


def clamped(op: Map) -> Clamped | None:
    """The expression of one operand as a clamped affine function per channel, if it is one."""
    classes = classes_of(op.expr, op.shape)
    if classes.shape[:2] != (1, 1) or op.storage != "f32":
        return None
    try:
        form = form_of(op.expr, classes)
    except NotFixed:
        return None
    low, high = -np.inf, np.inf
    while (base := form.only) is not None and base.fn in ("relu", "min", "max"):
        edge = 0.0 if base.fn == "relu" else _edge(base.args[1])
        if edge is None:
            return None
        low, high = _clipped(low, high, edge, upper=base.fn == "min")
        form = base.args[0]
    return _affine(form, op.shape[2], low, high)


def _edge(form: Form) -> float | None:
    return float(form.shift.reshape(-1)[0]) if form.constant and form.shift.size == 1 else None


def _clipped(low: float, high: float, edge: float, upper: bool) -> tuple[float, float]:
    """An inner clamp inside of an outer one."""
    if upper:
        return low, float(np.clip(edge, low, high))
    return float(np.clip(edge, low, high)), high


def _affine(form: Form, channels: int, low: float, high: float) -> Clamped | None:
    if len(form.terms) != 1:
        return None
    ((base, factor),) = form.terms.items()
    if base.index != 0 or not (factor != 0).all():
        return None
    scale, shift = (np.broadcast_to(x, (1, 1, channels)).reshape(-1) for x in (factor, form.shift))
    return Clamped(scale, shift, low, high)


def fusable(graph: Graph) -> dict[str, tuple[Node, Clamped]]:
    """Elementwise nodes that a real convolution in front of them computes: output -> (convolution, what to do)."""
    producers = {node.output: node for node in graph.nodes}
    readers = graph.reads()
    found = {}
    for node in graph.nodes:
        source = producers.get(node.inputs[0]) if len(node.inputs) == 1 else None
        if not isinstance(node.op, Map) or source is None or not isinstance(source.op, (Conv2d, SignConv2d)):
            continue
        if readers[source.output] == 1 and graph.types[source.output].shape == node.op.shape:
            work = clamped(node.op)
            if work is not None:
                found[node.output] = (source, work)
    return found
