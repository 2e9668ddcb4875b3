"""When two results give the same answer: equal integers, or the same class of every pixel, box or sample."""

from __future__ import annotations

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.ir import Graph, Port
from bnn2c.ops.rearrange import Rearrange

ELEMENTWISE = ("map", "fixed_map")


def class_axis(graph: Graph, port: Port) -> int:
    """The axis of an output along which classes compete.

    It is where the channels of the last computation went: axis 1 of [1, classes, rows, columns], the last one of
    [1, boxes, classes]. The last axis when channels are spread over several axes, or there is one channel.
    """
    index, value = np.arange(graph.types[port.value].size), port.value
    for node in reversed(graph.nodes):
        if node.output != value:
            continue
        if isinstance(node.op, Rearrange) and not (node.op.index < 0).any():
            index, value = node.op.index.ravel()[index], node.inputs[0]
        elif node.op.kind in ELEMENTWISE:  # a rearrangement may stand in front of it
            value = next((name for name in node.inputs if graph.types[name].shape == graph.types[value].shape), value)
    channel = (index % graph.types[value].shape[2]).reshape(port.shape)
    axes = [axis for axis in range(channel.ndim) if np.diff(channel, axis=axis).any()]
    return axes[0] if len(axes) == 1 else channel.ndim - 1


def same_answers(graph: Graph, port: Port, real: Array, whole: Array) -> float:
    """Part of equal elements (integers), or of places whose largest number along the class axis is the same one.

    Args:
        graph: a graph with that output.
        port: the output.
        real: its value in float32, or integers.
        whole: its value in fixed point, same number of elements.
    """
    if real.dtype.kind != "f":
        return float((real.ravel() == whole.ravel()).mean())
    axis = class_axis(graph, port)
    return float((real.reshape(port.shape).argmax(axis) == whole.reshape(port.shape).argmax(axis)).mean())
