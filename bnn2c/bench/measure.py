"""Builds a compiled network for its target, runs it under QEMU and collects the counts as JSON-able data."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnn2c.bench.stream import Schedule
from bnn2c.targets import Target, load_target
from bnn2c.toolchain import ArenaOverrun, ObjectSizes, TargetRun, model_sizes, run_on_target
from bnn2c.toolchain.build import OPTIMIZE_FLAGS
from bnn2c.toolchain.tools import find_compiler
from bnn2c.verify.vectors import random_vectors

if TYPE_CHECKING:
    from bnn2c.pipeline import Compiled

__all__ = ["MACS_PER_UNIT", "bench_model", "layer_rows"]

Json = dict[str, Any]

MACS_PER_UNIT = 32
_SAMPLES = 2
_LAYER_KEYS = ("index", "name", "op", "kernel", "output_shape", "binary_macs", "real_macs", "weight_bytes")


def bench_model(compiled: Compiled, *, compiler: str | None = None, opt: str | None = None) -> Json:
    """Measure a compiled network on the target that it was compiled for.

    Two random samples are run, so that a count that depends on data shows.

    Args:
        compiled: the network.
        compiler: instead of the target's own, such as clang.
        opt: optimisation flag instead of the one that belongs to `--optimize`.

    Returns:
        `target`, `optimize`, `compiler`, `instructions` (None on native targets, which are not emulated), `i32`
        (instructions per 32 binary multiply-accumulates), `cycles_estimate`, sizes in bytes, and `layers`. Of a stream
        `instructions` are those of the longest step, and `instructions_per_frame` (once the window is full) and
        `instructions_per_frame_filling` (of the first window) are means.

    Raises:
        ToolchainMissing: a tool of the target is not installed.
        ToolchainError: the C cannot be built or run.
        ArenaOverrun: the C wrote outside of its arena or its output.
    """
    options = compiled.options
    target = load_target(options.target)
    schedule = None if options.stream is None else Schedule.of(options.stream, compiled.manifest["stream"])
    flag = opt or OPTIMIZE_FLAGS[options.optimize]
    run, sizes = _run(compiled, target, schedule, flag, compiler)
    if not run.guards_intact:
        raise ArenaOverrun(f"on {target.name} the generated code wrote outside of its arena or its output struct")
    layers = layer_rows(compiled.manifest, compiled.report_data, run, target)
    total = _counts(run.instructions, sum(layer["binary_macs"] for layer in layers), target)
    head = {"target": target.name, "optimize": options.optimize, "flag": flag}
    name = Path(find_compiler(target, compiler)[-1]).name
    total |= schedule.per_frame(run) if schedule else {}
    return {**head, "compiler": name, **total, **_sizes(run, sizes, compiled.manifest), "layers": layers}


def _run(
    compiled: Compiled, target: Target, schedule: Schedule | None, flag: str, compiler: str | None
) -> tuple[TargetRun, ObjectSizes]:
    """The network on its random samples, or a stream of each."""
    windows = random_vectors(_SAMPLES, compiled.imported, compiled.options).inputs
    samples, steps = (schedule.samples(windows), schedule.steps) if schedule else (windows, 0)
    with tempfile.TemporaryDirectory(prefix="bnn2c-bench-") as folder:
        work = Path(folder)
        files, facts = compiled.files, compiled.manifest
        run = run_on_target(files, facts, target, samples, work, opt=flag, compiler=compiler, stream_steps=steps)
        sizes = model_sizes(files, target, work, opt=flag, compiler=compiler)
    return schedule.summary(run) if schedule else run, sizes


def layer_rows(
    manifest: Mapping[str, Any], report_data: Mapping[str, Any], run: TargetRun, target: Target
) -> list[Json]:
    """One row per layer: what it is, what it took, and what was predicted."""
    facts = report_data.get("layers", [])
    rows = []
    for layer in manifest["layers"]:
        index = layer["index"]
        row = {key: layer.get(key) for key in _LAYER_KEYS}
        row |= _counts(run.layer_instructions[index] if run.layer_instructions else None, layer["binary_macs"], target)
        row["constant_time"] = run.constant_layers[index] if run.constant_layers else None
        rows.append({**row, "predicted_instructions": _predicted(facts[index] if index < len(facts) else {})})
    return rows


def _counts(instructions: int | None, macs: int, target: Target) -> Json:
    found: Json = {"instructions": instructions, "i32": None, "cycles_estimate": None}
    if instructions is not None and macs:
        found["i32"] = round(instructions * MACS_PER_UNIT / macs, 3)
    if instructions is not None and target.cycles_per_instruction:
        found["cycles_estimate"] = round(instructions * target.cycles_per_instruction)
    return found


def _predicted(facts: Mapping[str, Any]) -> int | None:
    """The prediction for the kernel that was chosen."""
    chosen = (one for one in facts.get("kernels", []) if one["chosen"])
    return next((one["instructions"] for one in chosen), None)


def _sizes(run: TargetRun, sizes: ObjectSizes, manifest: Mapping[str, Any]) -> Json:
    return {
        "constant_time": run.constant_time,
        "flash_bytes": sizes.flash_bytes,
        "code_bytes": sizes.code_bytes,
        "constant_bytes": sizes.const_bytes,
        "arena_bytes": manifest["arena_bytes"],
        "stack_bytes": run.stack_bytes,
    }
