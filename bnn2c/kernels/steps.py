"""The C lines around the body of a loop: pointers to windows, states and results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bnn2c.ir.types import WORD_BITS, TensorType

if TYPE_CHECKING:
    from bnn2c.ops.loop import Loop


def loop_lines(loop: Loop, inputs: Sequence[TensorType]) -> dict[str, list[str]]:
    """Lines `before` the loop, `windows` at the start of a step, and the copies `after` it."""
    states, others, _ = loop.layout
    scratch = [(f"x{k}", loop.windows[k], at) for k, at in states.items()]
    scratch += [(f"y{k}", loop.produced[k], at) for k, at in others.items()]
    homes = [f"{loop.windows[k].c_type} *const x{k} = &out[{_home(loop, result)}];" for k, result in loop.homes.items()]
    first = [_copy(f"in{k}", f"x{k}", loop.windows[k]) for k in (*loop.homes, *states)]
    if loop.streamed:
        first = _once(loop.layout[2], first)
    arena = "unsigned char *const arena_bytes = (unsigned char *)scratch;"
    used = loop.layout[2] > 0 or loop.streamed
    places = [*homes, *(_place(*item) for item in scratch), *_shared(loop)]
    carried = [(k, loop.feeds[k].carried) for k in states if k not in loop.kept_in_place]
    copies = [_copy(f"y{output}", f"x{k}", loop.windows[k]) for k, output in carried]
    return {
        "before": [arena if used else "(void)scratch;", *places, *first],
        "windows": [*_windows(loop, inputs), *_results(loop)],
        "after": [*(f"x{k} = y{output};" for k, output in loop.followed.items()), *copies],
    }


def _shared(loop: Loop) -> list[str]:
    """Pointers to states that begin in their operand and follow the results; next values that replace the last ones."""
    followed = [f"const {loop.windows[k].c_type} *x{k} = in{k};" for k in loop.followed]
    return followed + [f"{loop.windows[k].c_type} *const y{output} = x{k};" for k, output in loop.kept_in_place.items()]


def _once(offset: int, lines: list[str]) -> list[str]:
    """What happens at the beginning of a stream only."""
    flag = f"*(uint32_t *)(void *)&arena_bytes[{offset}]"
    return [f"if ({flag} != 0u) {{", *(f"  {line}" for line in lines), f"  {flag} = 0u;", "}"]


def units(source: TensorType, window: TensorType, elements: int) -> int:
    """A number of elements in units of the C type: words of whole pixels (or of full words) for packed bits."""
    if source.storage != "bits":
        return elements
    if source.shape[2] == window.shape[2]:
        return elements // source.shape[2] * source.words_per_pixel * source.planes
    return elements // WORD_BITS


def _place(name: str, kind: TensorType, offset: int) -> str:
    return f"{kind.c_type} *const {name} = ({kind.c_type} *)(void *)&arena_bytes[{offset}];"


def _home(loop: Loop, result: int) -> str:
    kind = loop.produced[loop.results[result].output]
    return _index(units(kind, kind, loop.places[result]), 0)


def _copy(source: str, target: str, kind: TensorType) -> str:
    return f"bnn2c_copy_{kind.storage}({source}, {units(kind, kind, kind.size)}u, {target});"


def _windows(loop: Loop, inputs: Sequence[TensorType]) -> list[str]:
    found = []
    for k, (feed, kind) in enumerate(zip(loop.feeds, loop.windows, strict=True)):
        if feed.carried is None:
            index = _index(units(inputs[k], kind, feed.start), units(inputs[k], kind, feed.step))
            found.append(f"const {kind.c_type} *const x{k} = &in{k}[{index}];")
    return found


def _results(loop: Loop) -> list[str]:
    found = []
    for result, place in zip(loop.results, loop.places[:-1], strict=True):
        kind = loop.produced[result.output]
        index = _index(units(kind, kind, place), units(kind, kind, kind.size) if result.stacked else 0)
        found.append(f"{kind.c_type} *const y{result.output} = &out[{index}];")
    return found


def _index(start: int, step: int) -> str:
    if step == 0:
        return f"{start}u"
    return f"{start}u {'-' if step < 0 else '+'} t * {abs(step)}u"
