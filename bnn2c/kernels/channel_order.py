"""An order of output channels in which neighbours have similar weights (bnn2c_channel_steps.h)."""

from __future__ import annotations

import numpy as np

from bnn2c.kernels.shape import Array

HALF_BLOCK = 4  # inputs that are added together, at least
ROUNDS = 6


def channel_order(rows: Array) -> Array:
    """A path through the rows (uint8 [channels, taps]) with few half blocks; the same for the same rows on any machine.

    A step costs the half blocks of the inputs that differ, after inverting one of the rows when that helps; of equal
    paths the one with fewer inputs is better.  Nearest neighbours first, then 2-opt and moves of single channels.
    """
    differ = distances(rows)
    costs = -(-differ // HALF_BLOCK) * (rows.shape[1] + 1) + differ
    order = _nearest(costs)
    for _ in range(ROUNDS):
        before = _length(costs, order)
        order = _move(costs, _reverse(costs, order))
        if _length(costs, order) == before:
            break
    return order


def distances(rows: Array) -> Array:
    """Weights that differ between two rows, or between one and the inverse of the other; int64 [channels, channels]."""
    signs = 1.0 - 2.0 * rows
    products = np.rint(np.abs(signs @ signs.T)).astype(np.int64)
    result: Array = (rows.shape[1] - products) // 2
    return result


def _length(costs: Array, order: Array) -> int:
    return int(costs[order[:-1], order[1:]].sum())


def _nearest(costs: Array) -> Array:
    """Always on to the nearest row that is left."""
    left = costs.astype(np.float64)
    order = [0]
    for _ in range(len(costs) - 1):
        left[:, order[-1]] = np.inf
        order.append(int(left[order[-1]].argmin()))
    return np.array(order)


def _reverse(costs: Array, order: Array) -> Array:
    """2-opt: turn a part of the path round while that makes it shorter."""
    last, better = len(order) - 1, True
    while better:
        better = False
        for a in range(last):
            ends = np.arange(a + 1, last + 1)
            after = order[np.minimum(ends + 1, last)]
            old = np.where(ends < last, costs[order[ends], after], 0) + costs[order[a], order[a + 1]]
            new = np.where(ends < last, costs[order[a + 1], after], 0) + costs[order[a], order[ends]]
            best = int((new - old).argmin())
            if new[best] < old[best]:
                order[a + 1 : a + best + 2] = order[a + 1 : a + best + 2][::-1].copy()
                better = True
    return order


def _move(costs: Array, order: Array) -> Array:
    """Put single rows elsewhere while that makes the path shorter."""
    path, better = order.tolist(), len(order) > 2
    while better:
        better = False
        for at in range(len(path)):
            row, rest = path[at], np.array(path[:at] + path[at + 1 :])
            ends = (0, *costs[rest[:-1], rest[1:]], 0)
            near = (0, *costs[rest, row], 0)
            added = np.add(near[:-1], near[1:]) - np.array(ends)
            best = int(added.argmin())
            if added[best] < added[at]:
                path.insert(best, path.pop(at))
                better = True
    return np.array(path)
