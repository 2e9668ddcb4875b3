"""Repeated groups in a sequence of operations, found by their fingerprints."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from weakref import WeakKeyDictionary

import numpy as np

from bnn2c.expr.tree import Arg, Expr, fold
from bnn2c.ir import Graph, Node
from bnn2c.ops.rearrange import Rearrange

MIN_STEPS = 3
# Of expressions, which never change: several orders of the same operations are compared.
_KNOWN: WeakKeyDictionary[Expr, bytes] = WeakKeyDictionary()


@dataclass(frozen=True)
class Repetition:
    """Nodes start … start + length * steps are `steps` groups of `length` nodes each."""

    start: int
    length: int
    steps: int

    @property
    def end(self) -> int:
        """Number of the first node after the groups."""
        return self.start + self.length * self.steps


def repetitions(graph: Graph) -> Iterator[Repetition]:
    """Candidates, those that save most nodes first; every alignment of the groups to the repeated run is one."""
    prints = [node_print(graph, node) for node in graph.nodes]
    numbers = np.unique(np.array(prints), return_inverse=True)[1].ravel()
    runs = sorted(_runs(numbers), key=lambda run: (-(run[1] - run[2]), run[2], run[0]))
    for start, size, length in runs:
        whole = size // length
        for steps in (whole, whole - 1):
            if steps >= MIN_STEPS:
                for first in range(start, start + min(size - length * steps, length) + 1):
                    yield Repetition(first, length, steps)


def _runs(numbers: Sequence[int] | np.ndarray) -> Iterator[tuple[int, int, int]]:
    """(start, size, period) of stretches in which every element equals the one a period later."""
    numbers = np.asarray(numbers)
    for period in range(1, len(numbers) // MIN_STEPS + 1):
        equal = np.concatenate([[False], numbers[:-period] == numbers[period:], [False]])
        edges = np.flatnonzero(equal[1:] != equal[:-1]).reshape(-1, 2)
        for first, last in edges.tolist():
            if last - first + period >= MIN_STEPS * period:
                yield first, last - first + period, period


def node_print(graph: Graph, node: Node) -> str:
    """Equal for operations that differ only in which values, or which part of a value, they read."""
    digest = hashlib.sha256(str((node.op.kind, graph.types[node.output])).encode())
    for kind in graph.input_types(node):
        digest.update(str(kind).encode())
    if isinstance(node.op, Rearrange):
        index = node.op.index
        base = int(index.max()) - int(np.where(index < 0, index.max(), index).min())
        digest.update(str((index.shape, base, node.op.fill)).encode())
        digest.update(np.where(index < 0, -1, index - int(index.max())).tobytes())
    else:
        digest.update(fingerprint(node.op))
    return digest.hexdigest()


def fingerprint(item: object) -> bytes:
    """Digest of everything that an attribute of an operation holds."""
    if isinstance(item, np.ndarray):
        text = str((item.dtype, item.shape)).encode() + np.ascontiguousarray(item).tobytes()
    elif isinstance(item, Expr):
        text = _expression(item)
    elif is_dataclass(item):
        text = type(item).__name__.encode() + b"".join(fingerprint(getattr(item, f.name)) for f in fields(item))
    elif isinstance(item, tuple):
        text = b"tuple" + b"".join(map(fingerprint, item))
    else:
        text = repr(item).encode()
    return hashlib.sha256(text).digest()


def _expression(expr: Expr) -> bytes:
    if expr not in _KNOWN:
        _KNOWN[expr] = fold(
            expr,
            lambda e: fingerprint(e.index if isinstance(e, Arg) else e.value),
            lambda e, args: fingerprint((e.fn, e.params, *args)),
        )
    return _KNOWN[expr]
