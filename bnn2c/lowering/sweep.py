"""The sweep: every source node in order, each lowered by what its inputs can hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from bnn2c.errors import plural
from bnn2c.expr import Arg, substitute
from bnn2c.ir import Graph, Node, Op, Port
from bnn2c.ir.window import Window
from bnn2c.lowering.arg_max import lower_arg_max
from bnn2c.lowering.integers import on_bytes
from bnn2c.lowering.levels import MAX_LEVELS, Levels, decode, directions, find_levels, lazy_levels
from bnn2c.lowering.linear import lower_conv2d
from bnn2c.lowering.products import lower_mat_mul, lower_reduce
from bnn2c.lowering.state import INTEGER_DOMAINS, Lazy, Pool, State, integer_domain, rearranged
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.concat import Concat
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.embedding import Embedding
from bnn2c.ops.level_values import LevelValues
from bnn2c.ops.map import Map
from bnn2c.ops.mat_mul import MatMul
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.rearrange import Rearrange
from bnn2c.ops.reduce import Reduce


def lower(graph: Graph) -> tuple[Graph, State]:
    """Lower an imported graph.

    Returns:
        the graph of packed, integer and float operations, and what the analysis found out (warnings, statistics).
    """
    state = State(graph)
    for port in graph.inputs:
        kind = graph.types[port.value]
        state.builder.add_input(port, kind)
        state.add_root(port.value, port.value, integer_domain(kind.storage))
    for node in graph.nodes:
        rule = RULES.get(type(node.op), _generic)
        state.lazies[node.output] = rule(state, node, node.op)
    for port in graph.outputs:
        _output(state, port)
    return state.builder.build(), state


def _output(state: State, port: Port) -> None:
    """An output is a stored value of its own."""
    lazy = state.lazies[port.value]
    node = next((n for n in state.source.nodes if n.output == port.value), None)
    assert node is not None, "the importer gives every output a node"
    wanted = state.source.types[port.value]
    stored = lazy.bare and state.builder.types.get(lazy.root) == wanted
    name = lazy.root if stored else state.real(lazy, node)
    if state.builder.types[name].storage != wanted.storage:
        name = state.builder.emit(Map(Arg(0), wanted.shape, wanted.storage), [name], port.name, node.origin)
    taken = {p.value for p in (*state.builder.inputs, *state.builder.outputs)}
    if name in taken:
        kind = state.builder.types[name]
        copy = Rearrange(np.arange(kind.size, dtype=np.int32).reshape(kind.shape))
        name = state.builder.emit(copy, [name], port.name, node.origin)
    state.builder.outputs.append(Port(port.name, name, port.shape, port.dtype))


def _generic(state: State, node: Node, op: Op) -> Lazy:
    """Operators without a packed form work on real tensors (or on stored integers as they are)."""
    values = [state.real(state.lazies[name], node) for name in node.inputs]
    return _root(state, state.builder.emit(op, values, node.output, node.origin))


def _root(state: State, name: str) -> Lazy:
    return Lazy(name, Arg(0), state.builder.types[name].shape)


def _map(state: State, node: Node, op: Map) -> Lazy:
    """Elementwise: stays lazy on a single root."""
    if not node.inputs:
        return _root(state, state.builder.emit(op, [], node.output, node.origin))
    lazies = [state.lazies[name] for name in node.inputs]
    decided = _decision(state, node, op, lazies[0]) if op.storage != "f32" and len(lazies) == 1 else None
    return decided or state.combined(op, lazies, node)


def _decision(state: State, node: Node, op: Map, lazy: Lazy) -> Lazy | None:
    """Integers and truth values of few different values are read from level codes; None when these are others."""
    whole = Lazy(lazy.root, substitute(op.expr, [lazy.expr]), op.shape, lazy.origin)
    levels = find_levels(state, whole, node) if lazy.shape == op.shape else None
    if levels is None or levels.values.shape[0] > 1 or (levels.values % 1).any():
        return None
    values = LevelValues(levels.values.astype(np.int64), op.storage)
    return _root(state, state.builder.emit(values, [levels.code], node.output, node.origin))


def _max_pool(state: State, node: Node, op: MaxPool) -> Lazy:
    """Deferred while a later threshold may move in front of the pool; codes are pooled as codes."""
    lazy = state.lazies[node.inputs[0]]
    levels = find_levels(state, lazy, node) if lazy.root not in state.pools else None
    if levels is not None:
        codes = replace(op, largest_code=np.zeros(lazy.shape[2], bool))
        pooled = state.builder.emit(codes, [levels.code], f"{node.output}_code", node.origin)
        state.domains[pooled] = state.domains[levels.code]
        return lazy_levels(state, Levels(pooled, levels.values))
    if lazy.root not in state.pools and directions(state, lazy) is not None:
        return _deferred(state, node, op, lazy)
    return _root(state, state.builder.emit(op, [state.real(lazy, node)], node.output, node.origin))


def _reduce(state: State, node: Node, op: Reduce) -> Lazy:
    """The largest element over an axis is a pool of the whole axis: codes are pooled, thresholds move in front."""
    lazy = state.lazies[node.inputs[0]]
    if op.function == "max" and lazy.root in state.domains:
        return _max_pool(state, node, MaxPool(Window((1, lazy.shape[1]))))
    return lower_reduce(state, node, op)


def _deferred(state: State, node: Node, op: MaxPool, lazy: Lazy) -> Lazy:
    name = f"pool:{node.output}"
    state.pools[name] = Pool(lazy, op, node)
    return Lazy(name, Arg(0), state.source.types[node.output].shape)


def _rearrange(state: State, node: Node, op: Rearrange) -> Lazy:
    """Move the root (bits, bytes, sums), level codes or a quantiser's bytes, not reals; constants move along."""
    lazy = state.lazies[node.inputs[0]]
    if lazy.root in state.pools or _decided(state, lazy, state.read[node.inputs[0]]):
        levels = find_levels(state, lazy, node)
        if levels is not None:
            lazy = lazy_levels(state, levels)
        elif lazy.root in state.pools:
            lazy = Lazy(state.real(lazy, node), Arg(0), lazy.shape)
        elif state.builder.types[lazy.root].storage == "f32":
            lazy = on_bytes(state, node, lazy)
    if (op.index < 0).any():
        return _filled(state, node, op, lazy)
    return rearranged(state, node, lazy, op.index)


def _decided(state: State, lazy: Lazy, read: int) -> bool:
    """Whether codes, if there are few levels, move instead of the root, of which `read` elements are wanted in all.

    The sums of a binary layer are then never stored, and real numbers are not copied. Bytes are moved as they are.
    """
    storage = state.builder.types[lazy.root].storage
    if lazy.bare or storage in ("bits", *INTEGER_DOMAINS):
        return False
    return lazy.root in state.domains or read >= prod(lazy.shape)


def _filled(state: State, node: Node, op: Rearrange, lazy: Lazy) -> Lazy:
    """Elements without a source: a level code when the fill value is a level, else a real tensor."""
    levels = find_levels(state, lazy, node)
    if levels is not None and levels.values.shape[0] == 1:
        found = np.nonzero(levels.values[0] == np.float32(op.fill))[0]
        if len(found):
            moved = Rearrange(op.index, float(found[0]))
            name = state.builder.emit(moved, [levels.code], f"{node.output}_code", node.origin)
            state.domains[name] = state.domains[levels.code]
            return Lazy(name, decode(levels), state.builder.types[name].shape)
    return _root(state, state.builder.emit(op, [state.real(lazy, node)], node.output, node.origin))


def _concat(state: State, node: Node, op: Concat) -> Lazy:
    """Codes are joined when all inputs have the same levels."""
    lazies = [state.lazies[name] for name in node.inputs]
    levels = _common_levels(state, node, lazies)
    if levels is None:
        return _generic(state, node, op)
    name = state.builder.emit(op, [found.code for found in levels], f"{node.output}_code", node.origin)
    state.domains[name] = state.domains[levels[0].code]
    return lazy_levels(state, Levels(name, levels[0].values))


def _common_levels(state: State, node: Node, lazies: Sequence[Lazy]) -> list[Levels] | None:
    found: list[Levels] = []
    for lazy in lazies:
        levels = find_levels(state, lazy, node)
        if levels is None or levels.values.shape[0] > 1:
            return None
        if found and not np.array_equal(levels.values, found[0].values):
            return None
        found.append(levels)
    return found


def _embedding(state: State, node: Node, op: Embedding) -> Lazy:
    """Row numbers are read as stored integers; rows of few values are packed codes."""
    lazy = state.lazies[node.inputs[0]]
    ids = lazy.root if lazy.bare and lazy.root not in state.pools else state.real(lazy, node)
    values = np.unique(op.table)[::-1].astype(np.float64)
    if not 2 <= len(values) <= MAX_LEVELS:
        return _root(state, state.builder.emit(op, [ids], node.output, node.origin))
    codes = (len(values) - 1 - np.searchsorted(values[::-1], op.table)).astype(np.uint8)
    packed = Embedding(codes, int(len(values) - 1).bit_length())
    why = [f"the table holds {plural(len(values), 'value')}: packed"]
    name = state.builder.emit(packed, [ids], f"{node.output}_code", node.origin, why)
    state.domains[name] = np.arange(len(values))
    return lazy_levels(state, Levels(name, values[None]))


RULES: dict[type, Callable[[State, Node, Any], Lazy]] = {
    Map: _map,
    Conv2d: lower_conv2d,
    MaxPool: _max_pool,
    Rearrange: _rearrange,
    Concat: _concat,
    Embedding: _embedding,
    MatMul: lower_mat_mul,
    Reduce: _reduce,
    ArgMax: lower_arg_max,
}
