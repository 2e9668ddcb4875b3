"""Looks for the decisions near ties that turn the outputs of a graph into given ones."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from bnn2c.ir import Graph
from bnn2c.verify.bounded import Array
from bnn2c.verify.decisions import Flip, Flips
from bnn2c.verify.evaluate import evaluate, results

__all__ = ["search"]

_MOST_RUNS = 128


def search(
    graph: Graph,
    feeds: Sequence[Array],
    distance: Callable[[list[Array]], int],
    wanted: Mapping[str, Array] | None = None,
    half: bool = False,
) -> tuple[Flip, ...] | None:
    """Flips with which the graph's outputs have the distance 0; () when none is needed, None when none was found.

    Best first: of all sets of flips that were tried, the one with the smallest distance is extended by each tie that it
    leaves open; a flip may make later elements undecided, which are then tried too. Of equally good sets the smaller
    and older one comes first. It begins with two: the oracle's own decisions, and those in which numbers next to a tie
    are on it, because the other execution may be one in exact arithmetic. At most 128 executions.

    Args:
        graph: what is executed.
        feeds: its inputs.
        distance: how many elements of the outputs differ from what is looked for.
        wanted: decisions that are known (`visible`): taken in every set wherever they are possible.
        half: see `evaluate`.
    """
    waiting: list[tuple[int, int, int, Flips]] = []
    untried: deque[tuple[bool, tuple[Flip, ...]]] = deque([(False, ()), (True, ())])
    known: set[tuple[bool, frozenset[Flip]]] = set()
    for run in range(_MOST_RUNS):
        while not untried and waiting:
            best = heapq.heappop(waiting)[-1]
            further = ((*best.chosen, tie) for tie in best.ties)
            untried.extend((best.level, more) for more in further if (best.level, frozenset(more)) not in known)
        if not untried:
            break
        level, chosen = untried.popleft()
        decide = Flips(chosen, level, wanted or {})
        known.add((level, frozenset(chosen)))
        gap = distance(results(graph, evaluate(graph, feeds, decide, half)))
        if not decide.void and gap == 0:
            return (*decide.chosen, *decide.followed)
        if not decide.void:
            heapq.heappush(waiting, (gap, len(decide.chosen), run, decide))
    return None
