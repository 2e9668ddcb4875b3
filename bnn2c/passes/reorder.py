"""Orders of the same graph in which repeated steps stand one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import replace

from bnn2c.analysis.repetition import MIN_STEPS, fingerprint, node_print
from bnn2c.ir import Graph, Node, TensorType
from bnn2c.ops.map import Map
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.rearrange import Rearrange


def copied_from(name: str, known: Container[str]) -> str:
    """The value among `known` that `copies_at_readers` gave this name to, which ends with its own; else the name."""
    parts = name.split("<")
    return next((end for k in range(len(parts)) if (end := "<".join(parts[k:])) in known), name)


def copies_at_readers(graph: Graph) -> Graph:
    """Every rearrangement just before each of its readers, as often as needed; the positions of outputs stay.

    Parts of the inputs that no steps can have in common, such as the initial states of layers, stand in front.
    """
    copies = {node.output: node for node in graph.nodes if isinstance(node.op, Rearrange)}
    outputs = {port.value for port in graph.outputs}
    rare = _rare_reads(graph, copies)
    types = dict(graph.types)
    nodes = [copies[name] for name in dict.fromkeys(name for _, name in rare) if name not in outputs]
    for node in graph.nodes:
        if node.output in copies and node.output not in outputs:
            continue
        inputs = []
        for name in node.inputs:
            apart = name in copies and (node.output, name) not in rare
            inputs.append(_copied(name, f"{node.output}<{name}", copies, types, nodes) if apart else name)
        nodes.append(replace(node, inputs=tuple(inputs)))
    return replace(graph, nodes=tuple(nodes), types=types)


def _rare_reads(graph: Graph, copies: Mapping[str, Node]) -> set[tuple[str, str]]:
    """(reader, part of a graph input) where no steps read such a part in such a way.

    Either fewer operations do than a loop has steps, or most operations like the reader read something computed there:
    the states of layers with the same weights begin with parts of an input. Where that is so of a part's first reader,
    it is taken to be so of the others: the steps read a state as they like.
    """
    given = {port.value for port in graph.inputs}
    parts = {name: node_print(graph, node) for name, node in copies.items() if node.inputs[0] in given}
    readers = {graph.types[node.output] for node in graph.nodes if not parts.keys().isdisjoint(node.inputs)}
    reads: dict[tuple[str, str], tuple[str, str]] = {}
    computed: Counter[str] = Counter()
    for node in graph.nodes:
        like = node_print(graph, node) if graph.types[node.output] in readers else ""
        for port, name in enumerate(node.inputs):
            if name in parts:
                reads.setdefault(
                    (node.output, name), (f"{copies[name].inputs[0]} {parts[name]} {like}", f"{like} {port}")
                )
            else:
                computed[f"{like} {port}"] += 1
    often = Counter(how for how, _ in reads.values())
    rare = {key: often[how] < max(MIN_STEPS, computed[place]) for key, (how, place) in reads.items()}
    first = {name: rare[node, name] for node, name in reversed(reads)}
    return {(node, name) for (node, name), found in rare.items() if found or first[name]}


def _copied(name: str, fresh: str, copies: dict[str, Node], types: dict[str, TensorType], nodes: list[Node]) -> str:
    """Append a rearrangement, and the rearrangements that it reads, under a new name, which ends with the old one."""
    node = copies[name]
    source = node.inputs[0]
    if source in copies:
        source = _copied(source, f"{fresh}<{source}", copies, types, nodes)
    if fresh not in types:
        types[fresh] = types[name]
        nodes.append(replace(node, output=fresh, inputs=(source,)))
    return fresh


def equal_copies_once(graph: Graph) -> Graph:
    """The inverse: rearrangements of one value with equal positions become one, where the first of them stands.

    Equal constants, such as initial states of zeros and their codes, too.
    """
    outputs = {port.value for port in graph.outputs}
    known: dict[tuple[tuple[str, ...], TensorType, bytes], str] = {}
    same: dict[str, str] = {}
    constants: set[str] = set()
    nodes: list[Node] = []
    for node in graph.nodes:
        node = replace(node, inputs=tuple(same.get(name, name) for name in node.inputs))
        if isinstance(node.op, (Map, Quantize)) and constants.issuperset(node.inputs):
            constants.add(node.output)
        if (node.output in constants or isinstance(node.op, Rearrange)) and node.output not in outputs:
            key = (node.inputs, graph.types[node.output], fingerprint(node.op))
            same[node.output] = known.setdefault(key, node.output)
            if known[key] != node.output:
                continue
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


def maps_at_once(graph: Graph) -> Graph:
    """Every map right behind the last operation that it reads, as in ONNX; lowering emits it where it is first read.

    So a state, and its code, stand in the step that computes them, not in the next one, which reads them; those that
    are given stand in front of all steps.
    """
    place: dict[str, int] = {port.value: -1 for port in graph.inputs}
    for k, node in enumerate(graph.nodes):
        last = max((place[name] for name in node.inputs), default=k)
        part = isinstance(node.op, Rearrange) and last < 0
        place[node.output] = last if isinstance(node.op, (Map, Quantize, Rearrange)) and not part else k
    return replace(graph, nodes=tuple(sorted(graph.nodes, key=lambda node: place[node.output])))


def deepest_first(graph: Graph) -> Graph:
    """Every operation as late as possible, after the longest chain among its inputs.

    A chain that begins with a constant counts as longest: an initial state stands where later states do. What is made
    of a whole input for all steps, such as its conversion to integers, stands in front.
    """
    reads, given = graph.reads(), {port.value for port in graph.inputs}
    shared = [n.output for n in graph.nodes if n.inputs and given.issuperset(n.inputs) and reads[n.output] >= MIN_STEPS]
    producers = {node.output: node for node in graph.nodes}
    depth: dict[str, int] = {}
    for node in graph.nodes:
        depth[node.output] = 1 + max((depth.get(name, 0) for name in node.inputs), default=len(graph.nodes))
    done: dict[str, Node] = {}
    stack = [port.value for port in reversed(graph.outputs)] + shared
    while stack:
        name = stack[-1]
        waiting = [n for n in producers[name].inputs if n in producers and n not in done] if name in producers else []
        if waiting and name not in done:
            stack.append(max(waiting, key=lambda n: depth[n]))
            continue
        if name in producers:
            done.setdefault(name, producers[name])
        stack.pop()
    return replace(graph, nodes=tuple(done.values()))


def shared_first(graph: Graph) -> Graph:
    """What several steps read of one part of an input stands in front of all steps, in the order of the parts.

    Both directions of a network read each frame, and an exporter writes what both need of it once (its code, say),
    where the first of them reads it. In front, these operations become a loop whose results are parts for both.
    """
    part = _parts_alone(graph)
    readers = Counter(name for node in graph.nodes if not isinstance(node.op, Rearrange) for name in node.inputs)
    alike: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.output in part and readers[node.output] > 1 and not isinstance(node.op, Rearrange):
            alike.setdefault(node_print(graph, node), []).append(node)
    owned = {node.output: node for node in graph.nodes if node.output in part}
    front: dict[str, Node] = {}
    for nodes in alike.values():
        for node in sorted(nodes, key=lambda n: part[n.output]) if len(nodes) >= MIN_STEPS else ():
            _with_sources(node, owned, front)
    rest = (node for node in graph.nodes if node.output not in front)
    return replace(graph, nodes=(*front.values(), *rest))


def _parts_alone(graph: Graph) -> dict[str, tuple[str, int]]:
    """Values that one part of one input alone determines -> that input and the part's last element."""
    found: dict[str, tuple[str, int]] = {}
    given = {port.value for port in graph.inputs}
    for node in graph.nodes:
        read = {found.get(name) for name in node.inputs}
        part = next(iter(read)) if len(read) == 1 else None
        if isinstance(node.op, Rearrange) and node.inputs[0] in given:
            part = (node.inputs[0], int(node.op.index.max()))
        if part:
            found[node.output] = part
    return found


def _with_sources(node: Node, owned: Mapping[str, Node], front: dict[str, Node]) -> None:
    """Add an operation behind all that it reads; chains are as long as what one step computes."""
    for name in node.inputs:
        if name in owned and name not in front:
            _with_sources(owned[name], owned, front)
    front[node.output] = node
