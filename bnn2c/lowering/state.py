"""What is known about each value while the graph is lowered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from bnn2c.analysis.piecewise import real_steps
from bnn2c.analysis.repetition import fingerprint
from bnn2c.analysis.steps import Array, Steps, of_integers
from bnn2c.analysis.tabulate import tabulate
from bnn2c.errors import Diagnostic
from bnn2c.expr import Apply, Arg, Const, Expr, compress, remap_consts, substitute
from bnn2c.expr.functions import BOOLEAN
from bnn2c.ir import Graph, Node
from bnn2c.ir.builder import Builder
from bnn2c.ops.map import Map
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.rearrange import Rearrange

MAX_CHAIN = 300
INTEGER_DOMAINS = {"u8": (0, 255), "i8": (-128, 127)}


@dataclass(frozen=True)
class Lazy:
    """A real tensor that is not computed yet: `expr` of one root value of the same shape.

    `origin` names the ONNX nodes that the expression stands for.
    """

    root: str
    expr: Expr
    shape: tuple[int, int, int]
    origin: tuple[str, ...] = ()

    @property
    def bare(self) -> bool:
        """True when the tensor is the root itself."""
        return isinstance(self.expr, Arg)


@dataclass(frozen=True)
class Pool:
    """A max pool whose input is still a lazy tensor."""

    inner: Lazy
    op: MaxPool
    node: Node


@dataclass
class Statistics:
    """What the report says about exactness."""

    evaluated: int = 0
    sensitive: int = 0
    rows: list[dict[str, object]] = field(default_factory=list)


class State:
    """The sweep's environment: lazies by source value, domains by lowered root, the graph being built.

    Attributes:
        read: elements of each source value that rearrangements read, all together.
    """

    def __init__(self, graph: Graph) -> None:
        self.source = graph
        self.read: Counter[str] = Counter()
        for node in graph.nodes:
            if isinstance(node.op, Rearrange):
                self.read[node.inputs[0]] += node.op.index.size
        self.builder = Builder(graph.name)
        self.lazies: dict[str, Lazy] = {}
        self.domains: dict[str, Array] = {}
        self.pools: dict[str, Pool] = {}
        self.warnings: list[Diagnostic] = []
        self.statistics = Statistics()
        self._made: dict[object, str] = {}
        self._steps: dict[tuple[str, Expr], Steps | None] = {}
        self._equal: dict[tuple[bytes, tuple[int, int, int]], Steps | None] = {}
        self.depths: dict[Expr, int] = {}
        self.why: dict[str, tuple[str, ...]] = {}

    def add_root(self, source: str, root: str, domain: Array | None = None) -> None:
        """`source` is the lowered value `root` itself."""
        self.lazies[source] = Lazy(root, Arg(0), self.builder.types[root].shape)
        if domain is not None:
            self.domains[root] = domain

    def steps(self, lazy: Lazy) -> Steps | None:
        """The tensor as a piecewise-constant function of its root, if it is one; evaluated once."""
        key = (lazy.root, lazy.expr)
        if key not in self._steps:
            domain = self.domains.get(lazy.root)
            if domain is not None:
                found = tabulate(lazy.expr, domain, lazy.shape)
            else:
                found = None if lazy.bare else self._of_reals(lazy)
                if found is not None and self.builder.types[lazy.root].storage == "i32":
                    found = of_integers(found)
            self._steps[key] = found
        return self._steps[key]

    def _of_reals(self, lazy: Lazy) -> Steps | None:
        """`real_steps`, once for equal expressions: unrolled cells have the same one in every step."""
        key = (fingerprint(lazy.expr), lazy.shape)
        if key not in self._equal:
            self._equal[key] = real_steps(lazy.expr, lazy.shape)
        return self._equal[key]

    def real(self, lazy: Lazy, node: Node) -> str:
        """A float32 value that holds the tensor; computed once."""
        return self.once(("real", lazy.root, lazy.expr), lambda: self._materialise(lazy, node))

    def _materialise(self, lazy: Lazy, node: Node) -> str:
        from bnn2c.lowering.settle import settled

        if lazy.root in self.pools:
            lazy = Lazy(self.pool_value(lazy.root), lazy.expr, lazy.shape, lazy.origin)
        if lazy.bare and self.builder.types[lazy.root].storage == "f32":
            return lazy.root
        lazy = settled(self, lazy, node)
        return self.builder.emit(Map(lazy.expr, lazy.shape), [lazy.root], node.output, self.origin_of(lazy, node))

    def origin_of(self, lazy: Lazy, reader: Node) -> tuple[str, ...]:
        """The ONNX nodes that made a tensor: those of its chain, else of its root, else the reader's."""
        made = next((n.origin for n in self.builder.nodes if n.output == lazy.root), ())
        return lazy.origin or made or reader.origin

    def pool_value(self, root: str) -> str:
        """The pooled real tensor behind a deferred pool."""
        pool = self.pools[root]
        inner = self.real(pool.inner, pool.node)
        return self.once(
            ("pool", root), lambda: self.builder.emit(pool.op, [inner], pool.node.output, pool.node.origin)
        )

    def once(self, key: tuple[object, ...], make: Callable[[], str]) -> str:
        """The value made for `key`; made at the first call. Expressions in it are compared by identity."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def combined(self, op: Map, lazies: list[Lazy], node: Node) -> Lazy:
        """An elementwise expression of lazy tensors: lazy on one root, emitted on several; a condition as a byte."""
        roots = list(dict.fromkeys(lazy.root for lazy in lazies))
        origin = tuple(dict.fromkeys([name for lazy in lazies for name in lazy.origin] + list(node.origin)))
        kept = _kept(op.expr)
        if kept is not None and lazies[kept].shape == op.shape and op.storage == "f32":
            return replace(lazies[kept], origin=origin)
        if len(roots) == 1 and all(lazy.shape == op.shape for lazy in lazies) and op.storage == "f32":
            depth = 1 + max(self.depths.get(lazy.expr, 0) for lazy in lazies)
            if depth <= MAX_CHAIN:
                return self._chained(roots[0], substitute(op.expr, [lazy.expr for lazy in lazies]), op, origin, depth)
        values = [self.value_of(lazy, node) for lazy in lazies]
        names = list(dict.fromkeys(name for name, _ in values))
        args = [substitute(expr, [Arg(names.index(name))]) for name, expr in values]
        truth = op.storage == "f32" and isinstance(op.expr, Apply) and op.expr.fn in BOOLEAN
        made = Map(substitute(op.expr, args), op.shape, "u8" if truth else op.storage)
        name = self.builder.emit(made, names, node.output, origin)
        if truth:
            self.domains[name] = np.arange(2)
        return Lazy(name, Arg(0), op.shape)

    def _chained(self, root: str, expr: Expr, op: Map, origin: tuple[str, ...], depth: int) -> Lazy:
        """A lazy tensor; how long its chain of operations is, is remembered so that none gets too long to analyse."""
        self.depths[expr] = depth
        return Lazy(root, expr, op.shape, origin)

    def value_of(self, lazy: Lazy, node: Node) -> tuple[str, Expr]:
        """Root value and expression for use inside another expression; a deferred pool is materialised."""
        from bnn2c.lowering.settle import settled

        if lazy.root in self.pools:
            return self.pool_value(lazy.root), lazy.expr
        lazy = settled(self, lazy, node)
        return lazy.root, lazy.expr

    def warn(self, code: str, message: str, node: Node, why: str = "", hint: str = "") -> None:
        """Record a warning about a layer."""
        name = node.origin[-1] if node.origin else node.output
        self.warnings.append(Diagnostic(code, message, node=name, why=why, hint=hint, severity="warning"))


def _kept(expr: Expr) -> int | None:
    """The argument that a sum or difference with zeros leaves as it is (but for the sign of a zero).

    A first state of zeros leaves such sums: the cells of later steps must read the result like each other's.
    """
    if not isinstance(expr, Apply) or expr.fn not in ("add", "sub"):
        return None
    zero = [isinstance(a, Const) and not a.value.any() for a in expr.args]
    left = expr.args[0] if zero[1] else expr.args[1] if zero[0] and expr.fn == "add" else None
    return left.index if isinstance(left, Arg) else None


def integer_domain(storage: str) -> Array | None:
    """All values of an 8-bit storage, None for others."""
    bounds = INTEGER_DOMAINS.get(storage)
    return None if bounds is None else np.arange(bounds[0], bounds[1] + 1)


def rearranged(state: State, node: Node, lazy: Lazy, index: Array) -> Lazy:
    """The lazy tensor with its elements moved: the root is moved, and the constants of the expression with it."""
    name = state.builder.emit(Rearrange(index), [lazy.root], node.output, node.origin)
    if lazy.root in state.domains:
        state.domains[name] = state.domains[lazy.root]
    flat = index.ravel()

    def move(value: Array) -> Array:
        return compress(np.broadcast_to(value, lazy.shape).ravel()[flat].reshape(index.shape))

    height, width, channels = index.shape
    return Lazy(name, remap_consts(lazy.expr, move), (height, width, channels), lazy.origin)
