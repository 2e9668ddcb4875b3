"""The order of a stream's operations, and when its results come."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from bnn2c.errors import CompileError
from bnn2c.ir import Graph, Node
from bnn2c.ops.frame_classes import FrameClasses
from bnn2c.ops.history import History
from bnn2c.streaming.clock import LAST, Clock, ranks

Clocks = Mapping[str, Clock | None]


@dataclass(frozen=True)
class Scheduled:
    """Operations in order of their ranks, so that a step stops at the first one that waits.

    Attributes:
        graph: with the operations in order.
        first: steps until the first result.
        period: steps from one result to the next.
        flush: steps after the last frame until the last result; 0 where nothing lies behind the window.
        end: number of the end of the results.
        slowest: steps between the frames of the layer that runs most seldom.
    """

    graph: Graph
    first: int
    period: int
    flush: int
    end: int
    slowest: int


def scheduled(graph: Graph, clocks: Clocks, frames: int, step: int) -> Scheduled:
    """Order the operations of a stream over a window of so many frames; all counts are of frames of the inputs.

    In steps of several frames everything runs in each step.

    Raises:
        CompileError: BNN028, branches cannot be ordered or results do not come together.
    """
    made = [clock for port in graph.outputs if (clock := clocks[port.value])]
    windows = [clock for clock in made if clock.axis != LAST]
    if len({(clock.beat, clock.frames) for clock in windows}) > 1:
        raise CompileError.single("BNN028", "the outputs do not come together")
    final = (windows or made or [Clock(LAST, 1)])[0]
    flush = max([0, *(c.delay + (c.frames - 1) * c.stride - (frames - 1) for c in windows)])
    for port in graph.outputs:
        clock = clocks[port.value]
        if clock in windows and clock and (frames - 1 - clock.delay) // clock.stride + 1 > clock.frames:
            raise CompileError.single("BNN028", f"output {port.name} leaves out the last frames of the window")
    try:
        order = ranks(clock.beat for clock in clocks.values() if clock)
    except ValueError as error:
        raise CompileError.single("BNN028", f"the network cannot be streamed: {error}") from error
    rank = {name: order[clock.beat] if clock and step == 1 else 0 for name, clock in clocks.items()}
    nodes = sorted(graph.nodes, key=lambda node: max([0, *(rank[name] for name in node.inputs)]))
    read = {final.end, *_ends_read(nodes, clocks)}
    nodes = [_placed(node, rank, clocks, read if flush or step > 1 else None) for node in nodes]
    slowest = max(clock.stride for clock in clocks.values() if clock)
    return Scheduled(replace(graph, nodes=tuple(nodes)), final.delay + 1, final.stride, flush, final.end, slowest)


def _ends_read(nodes: Iterable[Node], clocks: Clocks) -> Iterator[int]:
    """Numbers of the ends that operations read: those in front of kept frames, and those of classes at the end."""
    for node in nodes:
        clock = clocks[node.output]
        if isinstance(node.op, History) and node.op.ends:
            yield node.op.ends[0]
        elif isinstance(node.op, FrameClasses) and len(node.op.ending) and clock:
            yield clock.end


def _placed(node: Node, rank: Mapping[str, int], clocks: Clocks, read: Container[int] | None) -> Node:
    """Tell operations what decides whether they run, and the numbers of the ends, if the stream has an end."""
    if isinstance(node.op, History):
        ends = None
        if read is not None and node.op.ends is not None:
            before, after = node.op.ends
            ends = (before, after if after in read else None)
        return replace(node, op=replace(node.op, rank=rank[node.output], ends=ends))
    if isinstance(node.op, FrameClasses):
        clock = clocks[node.output]
        ending = read is not None and len(node.op.ending) > 0
        return replace(node, op=replace(node.op, end=clock.end if ending and clock else None))
    return node


def gates(graph: Graph, elided: Container[str]) -> tuple[dict[str, int], int]:
    """Which operation (by its output) runs only when a rank is ready, and the rank of the results if it is later.

    Args:
        graph: the final graph.
        elided: values without code of their own.
    """
    rank = {port.value: 0 for port in graph.inputs}
    found: dict[str, int] = {}
    reached = 0
    for node in graph.nodes:
        mine = max([0, *(rank[name] for name in node.inputs)])
        if mine > reached and node.output not in elided:
            reached = found[node.output] = mine
        rank[node.output] = node.op.rank if isinstance(node.op, History) else mine
    last = max(rank[port.value] for port in graph.outputs)
    return found, last if last > reached else 0
