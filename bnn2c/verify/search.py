"""Looks for the decisions near ties that turn the outputs of a graph into given ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from bnn2c.ir import Graph
from bnn2c.verify.bounded import Array
from bnn2c.verify.decisions import Flip, Flips
from bnn2c.verify.evaluate import evaluate, results

__all__ = ["search"]

_MOST_RUNS = 64


def search(graph: Graph, feeds: Sequence[Array], accept: Callable[[list[Array]], bool]) -> tuple[Flip, ...] | None:
    """The fewest flips with which the graph's outputs are accepted; () when none is needed, None when none was found.

    Breadth first: no flip, each single one, pairs, …; a flip may make later elements undecided, which are then tried
    too. At most 64 executions.
    """
    waiting: deque[tuple[Flip, ...]] = deque([()])
    for _ in range(_MOST_RUNS):
        if not waiting:
            break
        chosen = waiting.popleft()
        decide = Flips(chosen)
        if accept(results(graph, evaluate(graph, feeds, decide))):
            return chosen
        waiting.extend((*chosen, tie) for tie in decide.ties[: _MOST_RUNS - len(waiting)])
    return None
