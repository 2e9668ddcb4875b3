"""The memory plan: lifetimes -> shared buffers -> offsets in one arena. State lives throughout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnn2c.ir import Graph, Node
from bnn2c.ops.history import History
from bnn2c.ops.rearrange import Rearrange
from bnn2c.states import StatePair

ALIGNMENT = 8
WORD = 4


@dataclass(frozen=True)
class Buffer:
    """Bytes offset … offset + size of the arena, in use from node `first` to node `last`."""

    name: str
    size: int
    first: int
    last: int
    offset: int = 0


@dataclass(frozen=True)
class Plan:
    """Where every value lives.

    Attributes:
        places: value -> ("input" | "output", port number, byte in it) or ("arena", 0, byte offset).
        scratch: node number -> byte offset of its scratch memory.
        elided: values that share the bytes of their source (reshapes), so that no code is emitted for them.
        buffers: the arena's buffers, for the report.
        size: bytes of the arena.
        counter: byte offset of the number of steps that a stream has made; None where it is not counted.
    """

    places: dict[str, tuple[str, int, int]]
    scratch: dict[int, int]
    elided: frozenset[str]
    buffers: tuple[Buffer, ...]
    size: int
    counter: int | None = None


def with_counter(plan: Plan) -> Plan:
    """Room for the number of steps, behind everything else."""
    place = _rounded_up(plan.size, ALIGNMENT)
    steps = Buffer("number of steps", WORD, 0, max((b.last for b in plan.buffers), default=0), place)
    return replace(plan, buffers=(*plan.buffers, steps), size=place + WORD, counter=place)


def plan_memory(graph: Graph, states: Sequence[StatePair] = ()) -> Plan:
    """Place all values of a lowered graph.

    The last and the next value of a state lie in the arena, in the same place where that can be.
    """
    kept = {graph.outputs[s.output].value: graph.inputs[s.input].value for s in states}
    owner, start, elided = _owners(graph, kept)
    ports = {p.value: ("input", i) for i, p in enumerate(graph.inputs) if p.value not in kept.values()}
    ports |= {p.value: ("output", i) for i, p in enumerate(graph.outputs) if p.value not in kept}
    buffers = {b.name: b for b in _lifetimes(graph, owner, ports, kept.values())}
    shared = _scratch_on_inputs(graph, owner, buffers)
    placed = {b.name: b for b in _pack([*buffers.values(), *_scratch(graph, shared)])}
    places = {v: (*ports[o], start[v]) for v, o in owner.items() if o in ports}
    places |= {v: ("arena", 0, placed[o].offset + start[v]) for v, o in owner.items() if o not in ports}
    own = {k: f"scratch {node.output}" for k, node in enumerate(graph.nodes)}
    scratch = {k: placed[name].offset for k, name in own.items() if name in placed}
    scratch |= {number: placed[name].offset for number, name in shared.items()}
    size = max((b.offset + b.size for b in placed.values()), default=0)
    return Plan(places, scratch, elided, tuple(placed.values()), size)


def _owners(graph: Graph, kept: Mapping[str, str]) -> tuple[dict[str, str], dict[str, int], frozenset[str]]:
    """The value whose bytes each value uses (its own, its source's, its input's in place), and from which byte on.

    `kept` maps the next value of a state to the last one.
    """
    start = {port.value: 0 for port in graph.inputs}
    owner = {port.value: port.value for port in graph.inputs}
    last = _last_uses(graph)
    outputs = {p.value for p in graph.outputs}
    reshaped = _reshaped_outputs(graph, kept)
    inputs = {p.value for p in graph.inputs} - set(kept.values())
    elided: set[str] = set()
    end = {value: last[value] for value in kept.values()}
    for number, node in enumerate(graph.nodes):
        source, first = None, _part_of_source(graph, node)
        if first is not None and (node.output not in outputs or reshaped.get(node.inputs[0]) == node.output):
            source = node.inputs[0]
            elided.add(node.output)
        elif node.output not in outputs and node.output not in reshaped:
            first = 0
            source = next(_in_place(graph, node, number, owner, end, inputs | outputs), None)
        elif node.output in kept:
            source = _in_state(graph, node, number, owner, end, inputs | outputs, kept[node.output])
        root = owner[source] if source is not None else reshaped.get(node.output, node.output)
        owner[node.output] = root
        start[node.output] = start[source] + (first or 0) if source is not None else 0
        end[root] = max(end.get(root, 0), last[node.output])
    return owner, start, frozenset(elided)


def _reshaped_outputs(graph: Graph, kept: Mapping[str, str]) -> dict[str, str]:
    """Values that are made where an output lies: the output is a reshape of the whole value, no copy and no state."""
    ports = {port.value for port in (*graph.inputs, *graph.outputs)}
    made = {node.output: node for node in graph.nodes}
    found: dict[str, str] = {}
    for output in (port.value for port in graph.outputs):
        node = made.get(output)
        if node is None or output in kept or _part_of_source(graph, node) != 0:
            continue
        source = node.inputs[0]
        maker, whole = made.get(source), graph.types[source].nbytes == graph.types[output].nbytes
        if maker is None or source in ports or source in found or not whole:
            continue
        if not isinstance(maker.op, History) and _part_of_source(graph, maker) is None:
            found[source] = output
    return found


def _last_uses(graph: Graph) -> dict[str, int]:
    last = {port.value: -1 for port in graph.inputs}
    for number, node in enumerate(graph.nodes):
        last[node.output] = number
        for name in node.inputs:
            last[name] = number
    kept = {node.output: len(graph.nodes) for node in graph.nodes if isinstance(node.op, History)}
    return last | kept | {port.value: len(graph.nodes) for port in graph.outputs}


def _part_of_source(graph: Graph, node: Node) -> int | None:
    """First byte of a reshape or contiguous slice within its source, which needs no copy; None for other operations.

    Packed pixels that are read as planes, or the other way round, are the same words.

    One padded element (-1) in front of the elements 0, 1, … looks like a slice and is none.
    """
    if not isinstance(node.op, Rearrange):
        return None
    if node.op.keeps_words(graph.types[node.inputs[0]]):
        return 0
    first = int(node.op.index.flat[0])
    if first < 0 or not np.array_equal(node.op.index.ravel(), np.arange(first, first + node.op.index.size)):
        return None
    source, kind = graph.types[node.inputs[0]], graph.types[node.output]
    if source.storage != "bits":
        return first * source.nbytes // source.size
    pixel = 4 * source.words_per_pixel * source.planes
    if source.shape[2] == kind.shape[2] and first % kind.shape[2] == 0:
        return first // kind.shape[2] * pixel
    dense = source.shape[2] % 32 == 0 and kind.shape[2] % 32 == 0 and source.planes == 1 and first % 32 == 0
    return first // 8 if dense else None


def _in_place(
    graph: Graph, node: Node, number: int, owner: dict[str, str], end: dict[str, int], fixed: set[str]
) -> Iterator[str]:
    """Operands that an elementwise operation may overwrite: same size, never read again, in the arena."""
    for index in node.op.overwrites(graph.input_types(node)):
        name = node.inputs[index]
        alone = all(owner[other] != owner[name] for other in node.inputs if other != name)
        if alone and owner[name] not in fixed and end.get(owner[name], 0) <= number:
            yield name


def _in_state(
    graph: Graph, node: Node, number: int, owner: dict[str, str], end: dict[str, int], fixed: set[str], state: str
) -> str | None:
    """The state, where its next value may be written over it: nothing reads it later, or in place."""
    if end[state] < number:
        return state
    operands = _in_place(graph, node, number, owner, end, fixed)
    return state if any(owner[operand] == state for operand in operands) else None


def _lifetimes(
    graph: Graph, owner: dict[str, str], ports: dict[str, tuple[str, int]], states: Iterable[str]
) -> list[Buffer]:
    """One buffer per owner that lives in the arena."""
    last, length = _last_uses(graph), len(graph.nodes)
    found = {state: Buffer(state, _rounded_up(graph.types[state].nbytes, WORD), 0, length) for state in states}
    for number, node in enumerate(graph.nodes):
        root = owner[node.output]
        if root in ports:
            continue
        size = _rounded_up(graph.types[node.output].nbytes, WORD)
        first = 0 if isinstance(node.op, History) else number
        old = found.get(root, Buffer(root, 0, first, first))
        found[root] = Buffer(root, max(size, old.size), old.first, max(old.last, last[node.output]))
    return list(found.values())


def _scratch_on_inputs(graph: Graph, owner: dict[str, str], buffers: dict[str, Buffer]) -> dict[int, str]:
    """Nodes whose scratch begins where their dying input lies; the input's buffer grows to hold it."""
    found: dict[int, str] = {}
    for number, node in enumerate(graph.nodes):
        types = graph.input_types(node)
        buffer = buffers.get(owner[node.inputs[0]]) if node.inputs else None
        if buffer is None or buffer.last != number or not node.op.scratch_on_input(types):
            continue
        size = _rounded_up(node.op.scratch_bytes(types), WORD)
        buffers[buffer.name] = Buffer(buffer.name, max(size, buffer.size), buffer.first, buffer.last)
        found[number] = buffer.name
    return found


def _scratch(graph: Graph, shared: dict[int, str]) -> list[Buffer]:
    found = []
    for number, node in enumerate(graph.nodes):
        size = node.op.scratch_bytes(graph.input_types(node))
        if size and number not in shared:
            first, last = (0, len(graph.nodes)) if node.op.keeps_state else (number, number)
            found.append(Buffer(f"scratch {node.output}", _rounded_up(size, WORD), first, last))
    return found


def _rounded_up(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _pack(wanted: list[Buffer]) -> list[Buffer]:
    """Greedy by size: each buffer at the lowest offset that is free during its whole life."""
    placed: list[Buffer] = []
    for item in sorted(wanted, key=lambda b: (-b.size, b.first, b.name)):
        alive = sorted((b for b in placed if b.first <= item.last and item.first <= b.last), key=lambda b: b.offset)
        offset = 0
        for other in alive:
            if offset + item.size <= other.offset:
                break
            offset = max(offset, _rounded_up(other.offset + other.size, ALIGNMENT))
        placed.append(Buffer(item.name, item.size, item.first, item.last, offset))
    return sorted(placed, key=lambda b: (b.first, b.offset, b.name))
