"""If, Loop and Scan: how often a body runs is known at compile time; it is imported once per step.

Steps that are alike become one loop again in `passes/roll_loops.py`. What runs cannot depend on data, so that every
inference costs the same: where a condition does, both branches run, or all steps, and the results are chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx

from bnn2c.errors import plural
from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.reductions import stack
from bnn2c.importer.handlers.shape import elements, moved
from bnn2c.importer.limits import as_integer
from bnn2c.importer.tensors import Parts, Tensor, Value, View

MAX_TRIPS = 512
CHOICE = (
    "memory is planned at compile time: both branches run, or all steps, and the results are chosen by the condition"
)
CONSTANT = "give both branches results of one shape, or export the model with a condition that is known"
COUNTED = "give the Loop a constant trip count, and carry what it collects in tensors of fixed shapes"
Body = Callable[[onnx.GraphProto, Mapping[str, Value]], Sequence[Value]]
"""Imports a subgraph, which sees the enclosing names and those it is fed; its outputs."""


def branch(ctx: Context, call: Call, body: Body) -> Sequence[Value]:
    """If: the branch of a known condition, or both and then a choice."""
    condition = call.tensor(0)
    if isinstance(condition, View):
        found = [body(call.attrs[name], {}) for name in ("then_branch", "else_branch")]
        return [_chosen(ctx, call, condition, *pair) for pair in zip(*found, strict=True)]
    return body(call.attrs["then_branch" if bool(np.all(condition)) else "else_branch"], {})


def _chosen(ctx: Context, call: Call, condition: View, yes: Value, no: Value) -> Tensor:
    """`condition ? yes : no` for one result; the condition has one element."""
    if isinstance(yes, Parts) or isinstance(no, Parts):
        raise call.refuse("BNN006", f"{call.op} chooses between sequences of tensors", CHOICE)
    if yes.shape != no.shape:
        shapes = f"{list(yes.shape)} and {list(no.shape)}"
        raise call.refuse(
            "BNN006", f"{call.op} chooses by data between results of the shapes {shapes}", CHOICE, CONSTANT
        )
    return ctx.elementwise("where", moved(condition, elements(condition).reshape(())), yes, no, dtype=yes.dtype)


def loop(ctx: Context, call: Call, body: Body) -> Sequence[Value]:
    """Loop whose trip count or condition is known; what a body gives per step is joined along a new first axis."""
    graph, enter = call.attrs["body"], call.operand(1)
    carried = [t for t in call.inputs[2:] if t is not None]
    trips = _trips(call) if isinstance(enter, View) or enter is None or bool(np.all(enter)) else 0
    if trips < 1 and len(call.proto.output) > len(carried):
        raise call.refuse("BNN006", "a Loop without a step has empty results")
    kept: list[list[Value]] = []
    running = _still(ctx, call, None, enter)
    while len(kept) < trips:
        if len(kept) == MAX_TRIPS:
            raise _too_long(call)
        going, *results = _step(body, graph, [np.asarray(len(kept), np.int64), np.asarray(True), *carried])
        new = results[: len(carried)]
        kept.append(results[len(carried) :])
        pairs = zip(new, carried, strict=True)
        carried = new if running is None else [_chosen(ctx, call, running, *pair) for pair in pairs]
        running = _still(ctx, call, running, going)
        if isinstance(going, np.ndarray) and not bool(np.all(going)):
            break
    return [*carried, *(_stacked(ctx, call, parts) for parts in zip(*kept, strict=True))]


def _still(ctx: Context, call: Call, running: View | None, going: Value | None) -> View | None:
    """Whether the next step counts, where that depends on data: the condition has held in all steps."""
    if not isinstance(going, View):
        return running
    if call.operand(0) is None:
        raise call.refuse("BNN008", "the Loop's condition depends on data, and it has no trip count", CHOICE, COUNTED)
    if len(call.proto.output) > len(call.inputs) - 2:
        raise call.refuse("BNN008", "how many results the Loop collects depends on data", CHOICE, COUNTED)
    both = going if running is None else ctx.elementwise("and", running, going, dtype=bool)
    return ctx.as_view(both)


def _trips(call: Call) -> int:
    """The trip count; without one the condition ends the Loop, which may go one step too far to be refused."""
    given = call.constant(0, "the trip count")
    trips = MAX_TRIPS + 1 if given is None else as_integer(given)
    if given is not None and trips > MAX_TRIPS:
        raise _too_long(call)
    return trips


def _too_long(call: Call) -> Exception:
    return call.refuse("BNN008", f"{call.op} needs a constant trip count of at most {MAX_TRIPS}")


def scan(ctx: Context, call: Call, body: Body) -> Sequence[Value]:
    """Scan since opset 9: the last operands and results are cut along an axis, forwards or backwards.

    Constant initial states become values, so that the first step is like the others and all of them are one loop.
    """
    if call.opset < 9:
        raise call.refuse("BNN006", "Scan of opset 8, which has a batch and lengths, is not supported")
    graph, count = call.attrs["body"], int(call.attrs["num_scan_inputs"])
    given = [call.tensor(k) for k in range(len(call.inputs))]
    carried: list[Value] = [_state(ctx, tensor) for tensor in given[:-count]]
    cut = [
        _turned(tensor, axis, way)
        for tensor, axis, way in zip(
            given[-count:], _each(call, "input_axes"), _each(call, "input_directions"), strict=False
        )
    ]
    steps = {tensor.shape[0] for tensor in cut}
    if len(steps) > 1:
        raise call.refuse("BNN003", f"the operands that Scan cuts have {sorted(steps)} steps")
    if not 0 < min(steps) <= MAX_TRIPS:
        raise call.refuse("BNN006", f"Scan over {plural(min(steps), 'step')}; from 1 to {MAX_TRIPS} are supported")
    kept: list[list[Value]] = []
    for t in range(min(steps)):
        results = _step(body, graph, [*carried, *(moved(tensor, elements(tensor)[t]) for tensor in cut)])
        carried = results[: len(carried)]
        kept.append(results[len(carried) :])
    found = [
        _put_back(_stacked(ctx, call, parts), axis, way)
        for parts, axis, way in zip(
            zip(*kept, strict=True), _each(call, "output_axes"), _each(call, "output_directions"), strict=False
        )
    ]
    return [*carried, *found]


def _step(body: Body, graph: onnx.GraphProto, fed: Sequence[Value]) -> list[Value]:
    return list(body(graph, dict(zip([i.name for i in graph.input], fed, strict=True))))


def _each(call: Call, name: str) -> list[int]:
    """An attribute of Scan with a number per operand or result; zeros where it is absent."""
    return list(call.attrs.get(f"scan_{name}") or [0] * (len(call.inputs) + len(call.proto.output)))


def _state(ctx: Context, tensor: Tensor) -> Tensor:
    return ctx.as_view(tensor) if tensor.dtype == np.float32 else tensor


def _turned(tensor: Tensor, axis: int, backwards: int) -> Tensor:
    """The axis that is cut in front, in the order of the steps."""
    front = np.moveaxis(elements(tensor), axis, 0)
    return moved(tensor, front[::-1] if backwards else front)


def _put_back(tensor: Tensor, axis: int, backwards: int) -> Tensor:
    """The inverse of `_turned`."""
    found = elements(tensor)
    return moved(tensor, np.moveaxis(found[::-1] if backwards else found, 0, axis))


def _stacked(ctx: Context, call: Call, parts: Sequence[Value]) -> Tensor:
    """Tensors joined along a new first axis."""
    tensors = [p for p in parts if isinstance(p, View | np.ndarray)]
    if len(tensors) < len(parts):
        raise call.refuse("BNN006", f"a result per step of {call.op} is a sequence")
    return stack(ctx, tensors, 0)


CONTROL = {"If": branch, "Loop": loop, "Scan": scan}
