"""What the templates and the manifest say about states that the caller keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bnn2c.emit.ports import ports_table, step_ports
from bnn2c.ir import Graph
from bnn2c.memory import Plan
from bnn2c.states import StatePair


def state_context(graph: Graph, plan: Plan, states: Sequence[StatePair]) -> dict[str, Any]:
    """The ports of a step that are no state, where the last and next value of each state lie, what a reset does."""
    inputs, outputs = ports_table(graph.inputs, "input"), ports_table(graph.outputs, "output")
    pairs = [
        {
            "input": inputs[pair.input],
            "output": outputs[pair.output],
            "last": plan.places[graph.inputs[pair.input].value][2],
            "next": plan.places[graph.outputs[pair.output].value][2],
        }
        for pair in states
    ]
    kept = [graph.inputs[pair.input].value for pair in states]
    return {
        "pairs": pairs,
        "waits": [],
        "cleared": [(plan.places[value][2], graph.types[value].nbytes) for value in kept],
        "inputs": [row for k, row in enumerate(inputs) if all(pair.input != k for pair in states)],
        "outputs": [row for k, row in enumerate(outputs) if all(pair.output != k for pair in states)],
    }


def state_facts(context: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """The manifest's part on states: bytes, the pairs by their C names, the ports of a step."""
    pairs = [{key: pair[key]["c_name"] for key in ("input", "output")} for pair in context["pairs"]]
    ports = {key: step_ports(context[key]) for key in ("inputs", "outputs")}
    return {"state": {"state_bytes": plan.size, "pairs": pairs, **ports}}
