"""ArgMax of real numbers that are one strictly monotone function of integers: compare the integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn2c.analysis.steps import classes_of
from bnn2c.expr import Arg, evaluate, remap_consts
from bnn2c.ir import Node
from bnn2c.lowering.state import Lazy, State
from bnn2c.ops.arg_max import ArgMax


def lower_arg_max(state: State, node: Node, op: ArgMax) -> Lazy:
    """The winner among f(q) is the winner among q when f rises strictly, the loser when it falls strictly.

    f is evaluated in float32 on the whole domain of q, and must be the same function in every channel and at every
    position. Ties stay ties, because a strictly monotone function keeps different values different.
    """
    lazy = state.lazies[node.inputs[0]]
    way = _direction(state, lazy)
    if way == 0:
        value = state.real(lazy, node)
    else:
        value, op = lazy.root, replace(op, smallest=op.smallest ^ (way < 0))
    name = state.builder.emit(op, [value], node.output, node.origin)
    return Lazy(name, Arg(0), state.builder.types[name].shape)


def _direction(state: State, lazy: Lazy) -> int:
    """+1 or -1 when the tensor is such a function of a stored integer, else 0."""
    domain = state.domains.get(lazy.root)
    if domain is None or lazy.root in state.pools or state.builder.types[lazy.root].storage in ("bits", "f32"):
        return 0
    small = classes_of(lazy.expr, lazy.shape).restrict(lazy.expr)
    values = np.asarray(evaluate(remap_consts(small, lambda v: v[..., None]), [domain.astype(np.float64)]))
    table = values.reshape(-1, len(domain))
    change = np.diff(table[0])
    if not (table == table[0]).all():
        return 0
    return 1 if (change > 0).all() else -1 if (change < 0).all() else 0
