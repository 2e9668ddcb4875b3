"""Ranges of real tensors, found by running the float graph in numpy on calibration vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.expr import Apply, Arg, Const, Expr
from bnn2c.expr.functions import FUNCTIONS
from bnn2c.expr.tree import fold
from bnn2c.ir import Graph, Node
from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.ops.map import Map

MAX_SAMPLES = 256
KEPT = 2048
PERCENTILE = 99.99


@dataclass
class Spread:
    """What one real tensor held.

    Attributes:
        low: smallest value; `high`: largest.
        mean: per channel, over all samples and pixels.
        kept: an evenly spaced selection of values of each sample.
    """

    low: float = np.inf
    high: float = -np.inf
    mean: Array = field(default_factory=lambda: np.zeros(1))
    count: int = 0
    kept: list[Array] = field(default_factory=list)

    def add(self, value: Array) -> None:
        """One more sample."""
        finite = value[np.isfinite(value)]
        if finite.size:
            self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))
            self.kept.append(finite.ravel()[:: max(1, finite.size // KEPT)])
        with np.errstate(all="ignore"):
            mean = np.nan_to_num(value.reshape(-1, value.shape[-1]).mean(axis=0, dtype=np.float64))
        self.count += 1
        self.mean = mean if self.count == 1 else self.mean + (mean - self.mean) / self.count


@dataclass
class Calibration:
    """Spreads of the graph's float32 values, ranges of sub-expressions, and of integer values."""

    spreads: dict[str, Spread] = field(default_factory=dict)
    ranges: dict[Expr, tuple[float, float]] = field(default_factory=dict)
    integers: dict[str, tuple[int, int]] = field(default_factory=dict)

    def note(self, expr: Expr, value: Array) -> None:
        """Widen the range of a sub-expression."""
        finite = value[np.isfinite(value)]
        if finite.size:
            low, high = self.ranges.get(expr, (np.inf, -np.inf))
            self.ranges[expr] = (min(low, float(finite.min())), max(high, float(finite.max())))


def calibrate(graph: Graph, samples: Sequence[Sequence[Array]]) -> Calibration:
    """Run the graph on (at most MAX_SAMPLES evenly spaced) samples, each one array per input."""
    found = Calibration()
    for feeds in samples[:: max(1, len(samples) // MAX_SAMPLES)][:MAX_SAMPLES]:
        values: dict[str, Array] = {}
        for port, feed in zip(graph.inputs, feeds, strict=True):
            kind = graph.types[port.value]
            values[port.value] = np.asarray(feed).reshape(kind.shape).astype(NUMPY_TYPES[kind.storage])
        for node in graph.nodes:
            values[node.output] = _run(node, [values[name] for name in node.inputs], found)
        for name, value in values.items():
            if value.dtype == np.float32:
                found.spreads.setdefault(name, Spread()).add(value)
            else:
                low, high = found.integers.get(name, (int(value.flat[0]), int(value.flat[0])))
                found.integers[name] = (min(low, int(value.min())), max(high, int(value.max())))
    return found


def _run(node: Node, inputs: list[Array], found: Calibration) -> Array:
    """The node's reference; the ranges inside of expressions are noted on the way."""
    if not isinstance(node.op, Map):
        return node.op.reference(*inputs)
    cast = [np.asarray(x, np.float32) for x in inputs]

    def leaf(e: Arg | Const) -> Array:
        if isinstance(e, Arg):
            found.note(e, cast[e.index])
            return cast[e.index]
        return e.value if e.value.dtype == np.float64 else np.asarray(e.value, np.float32)

    def apply(e: Apply, args: list[Array]) -> Array:
        value = np.asarray(FUNCTIONS[e.fn].numpy(*args, *e.params), np.float32)
        found.note(e, value)
        return value

    value = fold(node.op.expr, leaf, apply)
    return np.broadcast_to(value, node.op.shape).astype(NUMPY_TYPES[node.op.storage])


def limit(spread: Spread, steps: int, method: str) -> float:
    """The magnitude that becomes the largest integer.

    Args:
        spread: of the tensor.
        steps: largest integer of the format.
        method: `minmax`: the largest magnitude seen; `percentile`: 99.99 % of all values lie within; `mse`: least mean
            squared error of rounding and saturation together.
    """
    largest = max(abs(spread.low), abs(spread.high))
    if method == "minmax" or not spread.kept or largest == 0:
        return float(largest)
    kept = np.concatenate(spread.kept)
    if method == "percentile":
        return float(np.percentile(np.abs(kept), PERCENTILE))
    candidates = largest * np.linspace(0.3, 1.0, 29)
    errors = [
        np.square(np.clip(np.rint(kept * steps / m), -steps, steps) * m / steps - kept).mean() for m in candidates
    ]
    return float(candidates[int(np.argmin(errors))])
