"""Choose the storage and the scale of every real tensor.

Operations that only move, join or compare numbers keep their format, so the values around them share one (Concat,
MaxPool, Rearrange, AveragePool, maxima), and so do the values that are one value of a loop (the steps of a recurrent
network), or the steps would be different programs. With `int16` all values have 16 bits. With `int8` values have 8
bits, but 16

* where a later threshold (Quantize) decides on them: there a rounding error is not a small error but a flipped bit,
* downstream of such a value, as long as the numbers stay real: the memory is taken already, the digits are there,
* for outputs and vectors (one pixel): they are small.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.fixed_point.calibrate import Calibration, Spread, limit
from bnn2c.fixed_point.formats import INTEGER_LIMITS, Format
from bnn2c.ir import Graph, Node
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.average_pool import AveragePool
from bnn2c.ops.concat import Concat
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.rearrange import Rearrange
from bnn2c.ops.reduce import Reduce
from bnn2c.ops.sign_conv2d import SignConv2d
from bnn2c.ops.softmax import Softmax

HEADROOM = {"i16": 1.25, "i8": 1.0, "u8": 1.0}


def choose_formats(
    graph: Graph, calibration: Calibration, real: str, method: str, alike: Sequence[set[str]] = ()
) -> dict[str, Format]:
    """A format for every float32 value, graph inputs included; the same for all members of each set of `alike`."""
    group = _groups(graph, alike)
    members: dict[str, list[str]] = {}
    for name, root in group.items():
        members.setdefault(root, []).append(name)
    exact, padding = _long(graph), _padding(graph)
    soft = {node.output for node in graph.nodes if isinstance(node.op, Softmax)}
    formats: dict[str, Format] = {}
    for names in members.values():
        long = real == "int16" or bool(exact & set(names))
        around = [padding[n] for n in names if n in padding]
        spread = _joined([*(calibration.spreads.get(n, Spread(0.0, 0.0)) for n in names), *around])
        storage = "i16" if long else "u8" if spread.low == 0.0 < spread.high else "i8"
        least = max((max(-pad.low, pad.high) for pad in around), default=0.0)
        found = _format(spread, storage, method, whole=bool(soft & set(names)), least=least)
        formats |= dict.fromkeys(names, found)
    return formats


def _format(spread: Spread, storage: str, method: str, whole: bool, least: float) -> Format:
    """Scale from the calibrated range, which is at least that magnitude; the range of a softmax is 0 … 1."""
    steps = INTEGER_LIMITS[storage][1]
    if whole:
        return Format(storage, max(1.0, spread.high) / steps)
    largest = max(limit(spread, steps, method) * HEADROOM[storage], least)
    return Format(storage, (largest or 1.0) / steps)


def _padding(graph: Graph) -> dict[str, Spread]:
    """What stands around the operands of padded convolutions: it is in the format of the operand."""
    found: dict[str, Spread] = {}
    for node in graph.nodes:
        if isinstance(node.op, (Conv2d, SignConv2d)) and np.any(node.op.pad_value):
            pads = np.asarray(node.op.pad_value, np.float64)
            spread = Spread(float(pads.min()), float(pads.max()))
            found[node.inputs[0]] = _joined([found.get(node.inputs[0], spread), spread])
    return found


def _joined(spreads: list[Spread]) -> Spread:
    """All values together; those of which no finite one was seen count as 0."""
    low, high = min(s.low for s in spreads), max(s.high for s in spreads)
    low, high = (low, high) if low <= high else (0.0, 0.0)
    return Spread(low, high, np.zeros(1), 1, [k for s in spreads for k in s.kept])


def keeps_format(node: Node) -> bool:
    """True for operations whose result has the format of their operands."""
    if isinstance(node.op, Reduce):
        return node.op.function in ("max", "min")
    return isinstance(node.op, (Concat, MaxPool, Rearrange, AveragePool))


def _groups(graph: Graph, alike: Sequence[set[str]]) -> dict[str, str]:
    """Union of values that share a format: value -> representative."""
    parent = {name: name for name, kind in graph.types.items() if kind.storage == "f32"}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for node in graph.nodes:
        if keeps_format(node):
            for name in node.inputs:
                if name in parent:
                    parent[root(name)] = root(node.output)
    for values in alike:
        first, *others = sorted(values & parent.keys()) or [""]
        for name in others:
            parent[root(name)] = root(first)
    return {name: root(name) for name in parent}


def _long(graph: Graph) -> set[str]:
    """Values that keep 16 bits in int8 mode."""
    found = decisive(graph) | {port.value for port in graph.outputs}
    found |= {name for name, kind in graph.types.items() if kind.shape[:2] == (1, 1)}
    for node in graph.nodes:
        given = [name for name in node.inputs if graph.types[name].storage == "f32"]
        if any(name in found and graph.types[name].shape[:2] != (1, 1) for name in given):
            found.add(node.output)
    return found


def decisive(graph: Graph) -> set[str]:
    """Float values from which a threshold can be reached through float values."""
    found: set[str] = set()
    for node in reversed(graph.nodes):
        decides = isinstance(node.op, Quantize) or node.output in found
        if decides and not isinstance(node.op, ArgMax):
            found |= {name for name in node.inputs if graph.types[name].storage == "f32"}
    return found
