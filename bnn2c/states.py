"""State that the caller owns between calls: outputs of one step that are inputs of the next (`--state IN=OUT`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bnn2c import naming
from bnn2c.errors import CompileError, Diagnostic
from bnn2c.ir import Graph, Port

__all__ = ["StatePair", "state_pairs"]

_HINT = "write --state INPUT=OUTPUT with the names of the ONNX graph, such as --state state=next_state"


@dataclass(frozen=True)
class StatePair:
    """What output number `output` holds after a step is input number `input` of the next one."""

    input: int
    output: int


def state_pairs(graph: Graph, given: Sequence[tuple[str, str]]) -> tuple[StatePair, ...]:
    """The pairs by number.

    Args:
        graph: the lowered graph.
        given: names of an input and of an output, in ONNX or in C.

    Raises:
        CompileError: BNN033 for each pair that cannot be a state.
    """
    problems: list[Diagnostic] = []
    pairs: list[StatePair] = []
    for source, target in given:
        found = _pair(graph, source, target, pairs)
        if isinstance(found, StatePair):
            pairs.append(found)
        else:
            problems.append(Diagnostic("BNN033", f"--state {source}={target}: {found}", hint=_HINT))
    if not problems and pairs and min(len(graph.inputs), len(graph.outputs)) == len(pairs):
        problems.append(Diagnostic("BNN033", "no input or no output would be left beside the state"))
    if problems:
        raise CompileError(problems)
    return tuple(pairs)


def _number(ports: Sequence[Port], fallback: str, name: str) -> int | None:
    """Number of the port with that ONNX or C name."""
    c_names = naming.unique([port.name for port in ports], fallback)
    known = [{port.name, c_name} for port, c_name in zip(ports, c_names, strict=True)]
    return next((k for k, names in enumerate(known) if name in names), None)


def _pair(graph: Graph, source: str, target: str, pairs: Sequence[StatePair]) -> StatePair | str:
    """The pair, or why it cannot be a state beside those that are known."""
    first, second = _number(graph.inputs, "input", source), _number(graph.outputs, "output", target)
    if first is None or second is None:
        ports, what = (graph.inputs, "input") if first is None else (graph.outputs, "output")
        return f"there is no such {what}; there are {', '.join(port.name for port in ports)}"
    if any(first == pair.input or second == pair.output for pair in pairs):
        return "that input or output is part of another state"
    taken, made = graph.inputs[first], graph.outputs[second]
    if (taken.shape, taken.dtype, taken.scale) != (made.shape, made.dtype, made.scale):
        kinds = " and ".join(f"{port.name} is {port.dtype} {list(port.shape)}" for port in (taken, made))
        return f"{kinds}; both have to be alike"
    return StatePair(first, second)
