"""Looks for the decisions near ties that turn the outputs of a graph into given ones."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence

from bnn2c.ir import Graph
from bnn2c.verify.bounded import Array
from bnn2c.verify.decisions import Flip, Flips
from bnn2c.verify.evaluate import evaluate, results

__all__ = ["search"]

_MOST_RUNS = 256


def search(
    graph: Graph,
    feeds: Sequence[Array],
    distance: Callable[[list[Array]], float],
    wanted: Mapping[str, Array] | None = None,
    half: bool = False,
) -> tuple[Flip, ...] | None:
    """Flips with which the graph's outputs have the distance 0; () when none is needed, None when none was found.

    Best first: a set of flips that was tried is extended by each tie that it leaves open; a flip may make later
    elements undecided, which are then tried too. The next set is the one that promises the smallest distance: that of
    the set which it extends, changed by what its new flip changed when it was last tried, if it was. Of equally good
    sets the smaller and older one comes first. It begins with two: the oracle's own decisions, and those in which
    numbers next to a tie are on it, because the other execution may be one in exact arithmetic. At most 256 executions.

    Args:
        graph: what is executed.
        feeds: its inputs.
        distance: how far the outputs are from what is looked for.
        wanted: decisions that are known (`visible`): taken in every set wherever they are possible.
        half: see `evaluate`.
    """
    untried: list[tuple[float, int, int, bool, tuple[Flip, ...], float]] = []
    untried.extend((0.0, 0, order, level, (), 0.0) for order, level in enumerate((False, True)))
    known: set[tuple[bool, frozenset[Flip]]] = {(False, frozenset()), (True, frozenset())}
    changed: dict[tuple[bool, Flip], float] = {}
    for _ in range(_MOST_RUNS):
        if not untried:
            break
        *_, level, chosen, before = heapq.heappop(untried)
        decide = Flips(chosen, level, wanted or {})
        gap = distance(results(graph, evaluate(graph, feeds, decide, half)))
        if decide.void:
            continue
        if gap == 0:
            return (*chosen, *decide.followed)
        changed.update({(level, flip): gap - before for flip in chosen[-1:]})
        for tie in decide.ties:
            more = (*chosen, tie)
            if (level, frozenset(more)) not in known:
                known.add((level, frozenset(more)))
                promised = gap + changed.get((level, tie), 0.0)
                heapq.heappush(untried, (promised, len(more), len(known), level, more, gap))
    return None
