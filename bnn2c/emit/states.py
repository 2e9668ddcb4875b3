"""What the templates and the manifest say about states that the caller keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnn2c.emit.ports import ports_table, step_bytes, step_ports
from bnn2c.ir import Graph
from bnn2c.memory import Plan
from bnn2c.states import StatePair


def state_context(graph: Graph, plan: Plan, states: Sequence[StatePair]) -> dict[str, Any]:
    """The ports of one step that are no state, and where the last and the next value of each state lie."""
    inputs, outputs = ports_table(graph.inputs, "input"), ports_table(graph.outputs, "output")
    pairs = [
        {
            "input": inputs[pair.input],
            "output": outputs[pair.output],
            "bytes": graph.types[graph.inputs[pair.input].value].nbytes,
            "last": plan.places[graph.inputs[pair.input].value][2],
            "next": plan.places[graph.outputs[pair.output].value][2],
        }
        for pair in states
    ]
    return {
        "pairs": pairs,
        "inputs": [row for k, row in enumerate(inputs) if all(pair.input != k for pair in states)],
        "outputs": [row for k, row in enumerate(outputs) if all(pair.output != k for pair in states)],
    }


def state_facts(graph: Graph, plan: Plan, states: Sequence[StatePair], stack: int) -> dict[str, Any]:
    """The manifest's part on states: bytes, and the pairs by their C names.

    `stack`: bytes of a step; `<name>_run` keeps a frame and a result on top of that.
    """
    context = state_context(graph, plan, states)
    pairs = [{key: pair[key]["c_name"] for key in ("input", "output")} for pair in context["pairs"]]
    ports = {key: step_ports(context[key]) for key in ("inputs", "outputs")}
    return {"state": {"state_bytes": plan.size, "pairs": pairs, **ports}, "stack_bytes": stack + step_bytes(context)}
