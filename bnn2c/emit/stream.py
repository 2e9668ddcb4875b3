"""What the templates and the manifest say about a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bnn2c.emit.ports import ports_table, step_ports
from bnn2c.ir import Graph, Node
from bnn2c.memory import Plan
from bnn2c.ops.frame_classes import FrameClasses
from bnn2c.ops.history import History
from bnn2c.ops.loop import Loop
from bnn2c.streaming import Stream
from bnn2c.streaming.schedule import gates


def stream_context(stream: Stream, graph: Graph, plan: Plan) -> dict[str, Any]:
    """Frames of the window, the ports of one step, and where the counters lie."""
    timing, several = stream.timing, stream.step > 1
    results = max(1, stream.step // timing.period)
    ports = {"inputs": (graph.inputs, stream.inputs), "outputs": (graph.outputs, stream.outputs)}
    rows = {
        key: [
            row | {"outer": f.outer, "frames": f.count, "inner": f.inner}
            for row, f in zip(ports_table(found, key[:-1]), frames, strict=True)
        ]
        for key, (found, frames) in ports.items()
    }
    counters = [
        (plan.scratch[k] + place, first) for k, node in enumerate(graph.nodes) for place, first in _counter(node)
    ]
    gated, last = gates(graph, plan.elided)
    window = stream.inputs[0].count
    return {
        "frames": window,
        "step": stream.step,
        "results": results,
        "late": (timing.first - 1) // timing.period,
        "counter": plan.counter,
        "most": _most_steps(graph, (timing.first - 1) // timing.period, results),
        "waits": counters if plan.counter is None else [*counters, (plan.counter, 0)],
        "cleared": _cleared(graph, plan),
        "ready": sorted({node.op.rank for node in graph.nodes if isinstance(node.op, History) and node.op.waits}),
        "gates": gated,
        "last": last,
        "flush": -(-(timing.flush + stream.step - 1) // stream.step) if several else timing.flush,
        "run": -(-(window + timing.flush) // stream.step),
        "end": timing.end,
        **rows,
    }


def _most_steps(graph: Graph, late: int, results: int) -> int:
    """Steps after which all are alike, so that they need not be counted any more."""
    found = [-(-late // results)]
    for node in graph.nodes:
        pace = node.op.pace if isinstance(node.op, (History, FrameClasses, Loop)) else None
        if pace is not None:
            known = len(node.op.order) if isinstance(node.op, FrameClasses) else 0
            found.append(-(-(pace.late + known) // pace.frames))
    return max(found)


def _cleared(graph: Graph, plan: Plan) -> list[tuple[int, int]]:
    """(offset, bytes) of what a reset clears: the past of the stream."""
    found = []
    for number, node in enumerate(graph.nodes):
        if isinstance(node.op, History):
            output, scratch = node.op.cleared(graph.input_types(node))
            found += [(plan.places[node.output][2], output), (plan.scratch.get(number, 0) + 4, scratch)]
    return [(offset, size) for offset, size in found if size]


def _counter(node: Node) -> list[tuple[int, int]]:
    """Where in its scratch an operation counts steps, and what `reset` writes there."""
    if isinstance(node.op, History):
        return [] if node.op.pace else [(0, node.op.span - node.op.lead)]
    if isinstance(node.op, FrameClasses):
        return [] if node.op.pace else [(0, 0)]
    return [(node.op.layout[2], 1)] if isinstance(node.op, Loop) and node.op.streamed else []


def stream_facts(stream: Stream, context: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """The manifest's part on the stream: frames of the window, bytes of state, shapes of one step."""
    shapes = {key: step_ports(context[key]) for key in ("inputs", "outputs")}
    sizes = {"state_bytes": plan.size, "window_frames": context["frames"]}
    timing = stream.timing
    steps = {"step_frames": stream.step, "step_results": context["results"], "flush_steps": context["flush"]}
    times = {"first_result_after": -(-timing.first // stream.step) * stream.step, "result_every": timing.period}
    return {"stream": sizes | times | steps | shapes}
