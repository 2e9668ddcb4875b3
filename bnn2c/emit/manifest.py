"""What the generated files contain, as data: manifest.json and the report's facts."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bnn2c import __version__
from bnn2c.emit.files import stack_bytes
from bnn2c.emit.layers import Layer
from bnn2c.emit.ports import ports_table
from bnn2c.errors import Diagnostic
from bnn2c.expr import Apply
from bnn2c.ir import Graph, Op, Port
from bnn2c.kernels.alternatives import kernel_table, lane_words_of
from bnn2c.lowering.state import State
from bnn2c.memory import ALIGNMENT, Plan
from bnn2c.ops.map import Map
from bnn2c.ops.mapped_conv2d import MappedConv2d
from bnn2c.ops.softmax import Softmax
from bnn2c.options import Options
from bnn2c.passes.lay_diagonals import has_diagonals
from bnn2c.targets import Target

ABI_VERSION = 1

_ELSEWHERE = frozenset({"target", "name", "dump_ir", "min_agreement", "max_nodes", "max_tensor_bytes"})
_FLOAT_SUMS = frozenset({"average_pool", "reduce", "sign_conv2d", "softmax", "ternary_conv2d"})


@dataclass(frozen=True)
class Job:
    """What is compiled, and for what.

    Attributes:
        prefix: of all C names.
        digest: SHA-256 of the model.
        target: the device.
        options: of the compilation.
    """

    prefix: str
    digest: str
    target: Target
    options: Options


def facts_of(graph: Graph, job: Job) -> dict[str, Any]:
    """Text facts that the templates print."""
    lanes, options = lane_words_of(graph), job.options
    scaled = options.input_scale is not None
    note = f"; real = {options.input_scale:.9g} * value + {options.input_offset:.9g}" if scaled else ""
    return {
        "title": f"network {job.prefix}",
        "version": __version__,
        "target": job.target.name,
        "optimize": options.optimize,
        "sha256": job.digest,
        "abi": ABI_VERSION,
        "align": ALIGNMENT,
        "input_note": note,
        "lane_words": lanes if lanes > 1 else 0,
        "diagonals": has_diagonals(graph),
    }


def manifest_of(
    graph: Graph,
    plan: Plan,
    job: Job,
    layers: list[Layer],
    weights_bytes: int,
    files: Mapping[str, str],
    step: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The manifest; see docs/output-format.md."""
    return {
        "schema": 1,
        "generator": f"bnn2c {__version__}",
        "prefix": job.prefix,
        "model_sha256": job.digest,
        "target": job.target.name,
        "options": settings_of(job.options),
        "inputs": _interface(graph.inputs, "input"),
        "outputs": [
            row | _range(graph, port)
            for row, port in zip(_interface(graph.outputs, "output"), graph.outputs, strict=True)
        ],
        "arena_bytes": plan.size,
        "arena_align": ALIGNMENT,
        "stack_bytes": stack_bytes(layers, step),
        "weights_bytes": weights_bytes,
        "layers": [_layer(layer) for layer in layers],
        "files": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()},
    }


def settings_of(options: Options) -> dict[str, Any]:
    """The options that decide the code, but for those with the general default; of a file its name."""
    given = {field.name: getattr(options, field.name) for field in fields(options) if field.name not in _ELSEWHERE}
    changed = {key: value for key, value in given.items() if value != getattr(Options, key) or key == "optimize"}
    return {key: value.name if isinstance(value, Path) else value for key, value in changed.items()}


def _interface(ports: Sequence[Port], fallback: str) -> list[dict[str, Any]]:
    return [
        {
            "name": row["name"],
            "c_name": row["c_name"],
            "dtype": port.dtype,
            "shape": row["shape"],
            "bytes": row["bytes"],
            **({} if port.scale is None else {"scale": port.scale}),
        }
        for port, row in zip(ports, ports_table(ports, fallback), strict=True)
    ]


def _range(graph: Graph, port: Port) -> dict[str, float]:
    """The range of the function that ends the network, where it is known: probabilities lie in 0 … 1."""
    node = next((n for n in graph.nodes if n.output == port.value), None)
    return {"range": 1.0} if node is not None and _ends_in_probabilities(node.op) else {}


def _ends_in_probabilities(op: Op) -> bool:
    """Whether the last thing that an operation does is a softmax or a sigmoid."""
    if isinstance(op, Softmax):
        return not op.logarithm
    last = op.map if isinstance(op, MappedConv2d) else op
    return isinstance(last, Map) and isinstance(last.expr, Apply) and last.expr.fn == "sigmoid"


def _layer(layer: Layer) -> dict[str, Any]:
    return {
        "index": layer.index,
        "name": layer.name,
        "op": layer.op.kind,
        "kernel": layer.kernel,
        "output_shape": list(layer.output.type.shape),
        "storage": layer.output.type.storage,
        "binary_macs": layer.cost.binary_macs,
        "real_macs": layer.cost.real_macs,
        "weight_bytes": layer.cost.weight_bytes,
        "onnx_nodes": list(layer.node.origin),
    }


def report_of(
    graph: Graph, layers: list[Layer], plan: Plan, state: State, target: Target, warnings: list[Diagnostic]
) -> dict[str, Any]:
    """Facts for the report and for `inspect --why`."""
    running = [node.output not in plan.elided for node in graph.nodes]
    rows = {str(row["layer"]): row for row in state.statistics.rows}
    lanes = lane_words_of(graph)
    takers = _takers(graph)
    found = []
    for layer in layers:
        known = [o for o in layer.node.origin if o in rows]
        row = _together([rows.pop(o) for o in (known if layer.body else known[:1])])
        kernels = kernel_table(layer.op, layer.inputs[0].type, target, lanes) if layer.inputs else []
        why = list(layer.node.why) or [_kept_for(layer, takers[layer.node.output])]
        found.append({"why": why, **row, "kernels": kernels, "sums_reals": _sums_reals(layer)})
    names = {layer.node.output: layer.name for layer in layers}
    buffers = [
        {
            "name": _buffer_name(b.name, names),
            "offset": b.offset,
            "bytes": b.size,
            "first": sum(running[: b.first]),
            "last": last,
        }
        for b in plan.buffers
        for last in [max(0, sum(running[: b.last + 1]) - 1)]
    ]
    return {"layers": found, "warnings": warnings, "memory": buffers}


def _takers(graph: Graph) -> dict[str, dict[str, None]]:
    """Value -> the names of those that read it, in order and once each: nodes, then outputs."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for node in graph.nodes:
        for name in node.inputs:
            found[name][node.origin[0] if node.origin else node.output] = None
    for port in graph.outputs:
        found[port.value][f"output {port.name}"] = None
    return found


def _kept_for(layer: Layer, takers: Iterable[str]) -> str:
    """What there is to say of a layer without facts: the form of its result, and who takes it in that form."""
    return f"computed as ONNX defines it, result stored as {layer.output.type.storage} for {', '.join(takers)}"


def _sums_reals(layer: Layer) -> bool:
    """Whether the layer, or one that it repeats, adds up float32 numbers, in an order of its own."""
    if layer.body:
        return any(map(_sums_reals, layer.body))
    counted = bool(layer.cost.real_macs) or not _FLOAT_SUMS.isdisjoint((layer.op.kind, layer.kernel))
    return counted and not layer.op.kind.startswith("fixed_")


def _together(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The facts of a layer; those of the steps of a loop are added."""
    found = dict(rows[0]) if rows else {}
    for row in rows[1:]:
        found |= {key: value + row[key] for key, value in found.items() if isinstance(value, int | list)}
    return found


def _buffer_name(name: str, layers: dict[str, str]) -> str:
    """What a reader calls a buffer: the layer that writes it."""
    value = name.removeprefix("scratch ")
    return name[: -len(value)] + layers.get(value, value)
