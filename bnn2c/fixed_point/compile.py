"""From a float graph and calibration vectors to an integer graph, and what that costs in accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.errors import Diagnostic
from bnn2c.fixed_point.alike import join_steps
from bnn2c.fixed_point.answers import same_answers
from bnn2c.fixed_point.calibrate import calibrate
from bnn2c.fixed_point.choose_formats import choose_formats
from bnn2c.fixed_point.floating import stays_float
from bnn2c.fixed_point.formats import Format
from bnn2c.fixed_point.rewrite import rewrite
from bnn2c.ir import Graph
from bnn2c.ir.graph import execute
from bnn2c.passes.cleanup import drop_dead
from bnn2c.passes.narrow_copies import narrow_copies
from bnn2c.passes.roll_loops import alike_values, write_first_steps

JUDGED = 64


@dataclass(frozen=True)
class FixedPoint:
    """The result.

    Attributes:
        graph: the integer graph.
        summary: JSON-able: `real`, `method`, `samples`, `agreement`, and per value `storage`, `scale`, `snr_db`.
        warnings: operations that stayed in float.
    """

    graph: Graph
    summary: dict[str, Any] = field(default_factory=dict)
    warnings: list[Diagnostic] = field(default_factory=list)


def to_fixed_point(graph: Graph, samples: Sequence[Sequence[Array]], real: str, method: str = "minmax") -> FixedPoint:
    """Rewrite a lowered graph in integers.

    Args:
        graph: a lowered graph with float32 values.
        samples: calibration vectors, one array per graph input each.
        real: int16 or int8.
        method: how a scale is found, one of `options.CALIBRATE_METHODS`.
    """
    graph = write_first_steps(graph)
    calibration = calibrate(graph, samples)
    alike = alike_values(narrow_copies(graph))
    join_steps(graph, calibration, alike)
    chosen = choose_formats(graph, calibration, real, method, alike)
    formats = {name: found for name, found in chosen.items() if name not in stays_float(graph)}
    if not formats:
        return FixedPoint(graph)
    fixed, used, kept = rewrite(graph, calibration, formats, real)
    fixed = drop_dead(fixed)
    judged = samples[:: max(1, len(samples) // JUDGED)][:JUDGED]
    summary = {
        "real": real,
        "method": method,
        "calibration_samples": len(samples),
        **_judge(graph, fixed, used, judged),
    }
    warnings = [
        Diagnostic("BNN026", f"{node.op.kind} stays in float32: {reason}", node=(node.origin or (node.output,))[0],
                   op=node.op.kind, severity="warning")
        for node, reason in kept
    ]  # fmt: skip
    return FixedPoint(fixed, summary, warnings)


def _judge(
    graph: Graph, fixed: Graph, formats: dict[str, Format], samples: Sequence[Sequence[Array]]
) -> dict[str, Any]:
    """Signal-to-noise ratio of every real value and agreement of the results."""
    power: dict[str, float] = {}
    noise: dict[str, float] = {}
    agree = 0.0
    scales = {name: f.scale for name, f in formats.items() if name in fixed.types}
    for feeds in samples:
        real, whole = execute(graph, feeds, keep=True), execute(fixed, feeds, keep=True)
        for name, scale in scales.items():
            if name in real and name in whole and whole[name].dtype.kind in "iu":
                wanted = real[name].astype(np.float64)
                power[name] = power.get(name, 0.0) + float(np.square(wanted).sum())
                noise[name] = noise.get(name, 0.0) + float(np.square(whole[name] * scale - wanted).sum())
        agree += min(same_answers(graph, p, real[p.value], whole[p.value]) for p in graph.outputs)
    layers = {node.output: (node.origin or (node.output,))[0] for node in fixed.nodes}
    values = [
        {"layer": layers.get(name, name), "value": name, "storage": fixed.types[name].storage, "scale": scales[name],
         "snr_db": _decibel(power[name], noise[name])}
        for name in power
    ]  # fmt: skip
    return {"samples": len(samples), "agreement": agree / max(1, len(samples)), "values": values}


def _decibel(power: float, noise: float) -> float | None:
    """10 log10(power / noise); None without noise or signal, or where one of them is infinite."""
    return round(10 * float(np.log10(power / noise)), 2) if 0 < power < np.inf and 0 < noise < np.inf else None
