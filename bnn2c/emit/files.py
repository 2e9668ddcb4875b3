"""Render the generated files."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from bnn2c import naming
from bnn2c.data import data_folder
from bnn2c.emit.arrays import ArrayPool
from bnn2c.emit.layers import Layer, make_layers
from bnn2c.emit.ports import ports_table, step_bytes
from bnn2c.expr.c_code import c_float
from bnn2c.ir import Graph
from bnn2c.memory import Plan
from bnn2c.streaming import Stream

INCLUDE = re.compile(r'^\s*#\s*include\s+"(bnn2c[\w.]*)"', re.M)
OWN_STACK_BYTES = 384


@cache
def environment() -> jinja2.Environment:
    """Jinja with the project's filters; an undefined name is an error."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_folder("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    env.filters["c_float"] = c_float
    env.filters["fill"] = fill
    env.filters["comment"] = naming.comment
    env.filters["wrap"] = wrap
    return env


def wrap(initializer: str) -> str:
    """A C initialiser on lines of at most 112 columns, broken between members, the later lines indented."""
    tied = initializer.replace(" = ", "\0=\0")
    lines = textwrap.fill(tied, 112, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return lines.replace("\0", " ")


def fill(text: str, names: Mapping[str, str]) -> str:
    """Replace `@key@` by the C identifier of a constant array."""
    return re.sub(r"@(\w+)@", lambda m: names[m[1]], text)


def emit(
    graph: Graph,
    plan: Plan,
    prefix: str,
    facts: Mapping[str, Any],
    stream: Stream | None = None,
    step: Mapping[str, Any] | None = None,
) -> tuple[dict[str, str], list[Layer], ArrayPool]:
    """All C files of a model.

    Args:
        graph: lowered graph.
        plan: its memory plan.
        prefix: C prefix.
        facts: text facts for the header: model hash, target, version.
        stream: how the window's tensors consist of frames when the graph takes one frame.
        step: what `stream_context` or `state_context` says of a step, if the network runs step by step.

    Returns:
        files by name, the layers, and the constants.
    """
    pool = ArrayPool()
    layers, declared = _shared_declarations(make_layers(graph, plan, prefix, pool))
    special = any(a.special for a in pool.arrays)
    needed = [name for name, used in (("bnn2c_history.h", step), ("bnn2c_map.h", special)) if used]
    headers = {*needed, *(h for layer in layers for h in layer.headers)}
    context = {
        "prefix": prefix,
        "upper": prefix.upper(),
        "layers": layers,
        "arrays": pool.arrays,
        "headers": sorted(headers),
        "special": special,
        "real": any(layer.real for layer in layers),
        "inputs": ports_table(stream.window_inputs if stream else graph.inputs, "input"),
        "outputs": ports_table(stream.window_outputs if stream else graph.outputs, "output"),
        "arena_bytes": plan.size,
        "stack_bytes": stack_bytes(layers, step),
        "declared": declared,
        "step": step,
        "stream": step if stream else None,
        "kept": None if stream else step,
        "called": [render_macro(layer, "call").strip() for layer in layers],
        **facts,
    }
    files = {
        name.replace("model", prefix): environment().get_template(f"{name}.j2").render(context)
        for name in ("model.h", "model.c", "model_weights.h", "model_weights.c")
    }
    return files | runtime_files(sorted(headers)), layers, pool


def stack_bytes(layers: Sequence[Layer], step: Mapping[str, Any] | None) -> int:
    """Bound of the stack of `<name>_run`: its own frame, the deepest kernel, inputs and outputs of a step."""
    deepest = max((layer.op.stack_bytes([i.type for i in layer.inputs]) for layer in layers), default=0)
    return OWN_STACK_BYTES + deepest + (step_bytes(step) if step else 0)


def _shared_declarations(layers: list[Layer]) -> tuple[list[Layer], list[str]]:
    """Layers with equal declarations use the first one's; the body of a loop comes before the loop."""
    seen: dict[str, str] = {}
    declared: list[str] = []

    def share(layer: Layer) -> Layer:
        layer = replace(layer, body=tuple(share(inner) for inner in layer.body))
        text = render_macro(layer, "declare")
        key = re.sub(rf"\b{layer.id}\b", "@", text)
        if key not in seen and text.strip():
            seen[key] = layer.id
            declared.append(text)
        return replace(layer, id=seen.get(key, layer.id))

    return [share(layer) for layer in layers], declared


def render_macro(layer: Layer, macro: str) -> str:
    """One of the two macros of an operation's template."""
    module = environment().get_template(f"ops/{layer.op.kind}.c.j2").module
    return str(getattr(module, macro)(layer))


def runtime_files(headers: Sequence[str]) -> dict[str, str]:
    """The runtime headers in use, with everything they include."""
    folder = Path(data_folder("runtime_c"))
    files: dict[str, str] = {}
    wanted = ["bnn2c.h", *headers]
    while wanted:
        name = wanted.pop()
        if name not in files:
            files[name] = (folder / name).read_text(encoding="utf-8")
            wanted += INCLUDE.findall(files[name])
    return dict(sorted(files.items()))
