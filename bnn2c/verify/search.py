"""Looks for the decisions near ties that turn the outputs of a graph into given ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bnn2c.ir import Graph
from bnn2c.verify.bounded import Array
from bnn2c.verify.compare import Target
from bnn2c.verify.decisions import Flip, Flips, Record
from bnn2c.verify.evaluate import Values, evaluate, results

__all__ = ["search"]

_RUNS = (256, 1024)
_MOST_ELEMENTS = 1 << 25
_MOST_PAIRS = 64


def search(
    graph: Graph,
    feeds: Sequence[Array],
    target: Target,
    wanted: Mapping[str, Array] | None = None,
    half: bool = False,
) -> tuple[Flip, ...] | None:
    """Flips with which the graph's outputs are the target; () when none is needed, None when none was found.

    It begins with three executions: the oracle's own decisions; those in which numbers next to a tie are on it; and,
    where they are possible, those of arithmetic in float64. The other execution may be one in exact
    arithmetic, which the last two come near to.

    Args:
        graph: what is executed.
        feeds: its inputs.
        target: what is looked for.
        wanted: decisions that are known (`visible`): taken in every set wherever they are possible.
        half: see `evaluate`.
    """
    known = dict(wanted or {})
    own = _Executor(graph, feeds, Flips(wanted=known), half)
    if not target.apart(results(graph, own.values)).any():
        return tuple(own.start.followed)
    exact = Record()
    evaluate(graph, feeds, exact, half, np.float64)
    others = (Flips(level=True, wanted=known), Flips(wanted=_both(known, exact.decided)))
    starts = (own, *(_Executor(graph, feeds, start, half) for start in others))
    return _Search(lambda values: target.apart(results(graph, values)), starts, _runs(graph)).found()


def _runs(graph: Graph) -> int:
    """How many executions are worth while: at least 256, of a small graph up to 1024."""
    return int(np.clip(_MOST_ELEMENTS // (1 + sum(kind.size for kind in graph.types.values())), *_RUNS))


def _both(known: Mapping[str, Array], other: Mapping[str, Array]) -> dict[str, Array]:
    """The known results, where they are not NaN, and the other ones."""
    joined = dict(other)
    for site, flat in known.items():
        joined[site] = np.where(np.isnan(flat), other[site], flat) if site in other else flat
    return joined


def _size(apart: Array) -> Array:
    """How far outputs are apart, [...] of [..., elements]: squares, an element counts 1 at most."""
    return np.asarray((np.minimum(np.abs(apart), 1.0) ** 2).sum(axis=-1))


@dataclass
class _State:
    """An execution.

    Attributes:
        start: which decisions were changed,
        flips: by these flips.
        apart: by how much each output element misses the target.
        ties: further flips that it leaves open.
        measured: whether the effects of all its ties were measured from here.
    """

    start: int
    flips: frozenset[Flip]
    apart: Array
    ties: list[Flip]
    measured: bool = False

    @cached_property
    def rank(self) -> tuple[float, int]:
        """Nearest first, of equally near ones that with the fewest flips."""
        return float(_size(self.apart)), len(self.flips)


class _Executor:
    """Executes a graph with flips, from the first node that they change on.

    Attributes:
        start: the decisions without flips, and what they left open.
        values: what they led to.
    """

    def __init__(self, graph: Graph, feeds: Sequence[Array], start: Flips, half: bool) -> None:
        """Execute without flips; see `evaluate`."""
        self._graph, self._feeds, self._half = graph, feeds, half
        self._place = {node.output: place for place, node in enumerate(graph.nodes)}
        self.start = start
        self.values = evaluate(graph, feeds, start, half)

    def __call__(self, flips: frozenset[Flip]) -> tuple[Values, Flips]:
        """All values, and what the decisions left open."""
        first = min((self._of(flip) for flip in flips), default=len(self._place))
        before = {node.output: self.values[node.output] for node in self._graph.nodes[:first]}
        decide = Flips(tuple(flips), self.start.level, self.start.wanted)
        decide.ties = [tie for tie in self.start.ties if self._of(tie) < first]
        decide.followed = [flip for flip in self.start.followed if self._of(flip) < first]
        return evaluate(self._graph, self._feeds, decide, self._half, known=before), decide

    def _of(self, flip: Flip) -> int:
        """The number of the node that decides."""
        return self._place[flip.site.partition("#")[0]]


class _Search:
    """Takes the effects of flips on the outputs for additive, and measures them again where that leads nowhere.

    From the nearest state the effect of each flip is measured by carrying it out alone. Then the flips are chosen that
    come nearest to the target if effects add up, and carried out together.
    """

    def __init__(self, apart: Callable[[Values], Array], starts: Sequence[_Executor], runs: int) -> None:
        """Execute the starts.

        Args:
            apart: says by how much each output element misses the target.
            starts: execute with flips.
            runs: how many executions are allowed.
        """
        self._apart = apart
        self._starts = starts
        self._left = runs
        self._tried: set[tuple[int, frozenset[Flip]]] = set()
        self._open: list[_State] = []
        self._effects: dict[tuple[int, Flip], Array] = {}
        self._solution: tuple[Flip, ...] | None = None
        for start in range(len(starts)):
            self._try(start, frozenset())

    def found(self) -> tuple[Flip, ...] | None:
        """The flips that lead to the target, or None."""
        while self._solution is None and self._left > 0 and self._open:
            state = min(self._open, key=lambda one: one.rank)
            self._measure(state, [tie for tie in state.ties if (state.start, tie) not in self._effects])
            flips = _nearest(state.apart, state.flips, self._of(state))
            if (state.start, flips) not in self._tried:
                self._try(state.start, flips)
            elif not state.measured:
                self._measure(state, state.ties)
                state.measured = True
            else:
                self._open.remove(state)
        return self._solution

    def _of(self, state: _State) -> dict[Flip, Array]:
        """The effects that are known of a state's ties and flips."""
        known = (*state.ties, *state.flips)
        return {flip: self._effects[state.start, flip] for flip in known if (state.start, flip) in self._effects}

    def _measure(self, state: _State, ties: Sequence[Flip]) -> None:
        """Carry out each flip alone."""
        for tie in ties:
            other = self._try(state.start, state.flips | {tie})
            if other is not None:
                self._effects[state.start, tie] = other.apart - state.apart

    def _try(self, start: int, flips: frozenset[Flip]) -> _State | None:
        """Execute, unless that was done or too much was; None when a flip is outside of the error bound."""
        if (start, flips) in self._tried or self._left <= 0 or self._solution is not None:
            return None
        self._left -= 1
        self._tried.add((start, flips))
        values, decide = self._starts[start](flips)
        apart = self._apart(values)
        if decide.void:
            return None
        if not apart.any():
            self._solution = (*flips, *decide.followed)
        self._open.append(_State(start, flips, apart, decide.ties))
        return self._open[-1]


def _nearest(apart: Array, flips: frozenset[Flip], effects: Mapping[Flip, Array]) -> frozenset[Flip]:
    """The flips that come nearest if effects add up: one or two are added or taken back for as long as that helps.

    Args:
        apart: by how much each output element misses the target with `flips`.
        flips: what to begin with.
        effects: what each flip adds to `apart`.
    """
    if not effects:
        return flips
    every = list(effects)
    table = np.stack([effects[flip] for flip in every])
    seen = (apart != 0) | table.any(axis=0)
    now, table = apart[seen], table[:, seen]
    on = np.array([flip in flips for flip in every])
    names: dict[tuple[str, int], int] = {}
    place = np.array([names.setdefault((flip.site, flip.position), len(names)) for flip in every])
    while True:
        kept = (place[:, None] == place) & on  # of two results of one element one holds
        change = ~on[:, None] * table - kept @ table
        moved = _best_move(now, change, place)
        if not moved:
            return frozenset(flip for flip in flips if flip not in effects) | {every[k] for k in np.flatnonzero(on)}
        for k in moved:
            now = now + change[k]
            on[place == place[k]] &= on[k]
            on[k] = not on[k]


def _best_move(now: Array, change: Array, place: Array) -> list[int]:
    """The change, or else the two changes of different places, that shrink `now` most; empty if none does."""
    sizes = _size(now + change)
    if sizes.min() < _size(now):
        return [int(sizes.argmin())]
    likely = np.argsort(sizes)[:_MOST_PAIRS]
    pairs = np.stack([_size(now + change[k] + change[likely]) for k in likely])
    pairs[place[likely][:, None] == place[likely]] = np.inf
    first, second = np.unravel_index(pairs.argmin(), pairs.shape)
    return [int(likely[first]), int(likely[second])] if pairs.min() < _size(now) else []
