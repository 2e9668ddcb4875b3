"""Runs the generated C on a target, and what of its measurements belongs into the result."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnn2c.errors import CompileError
from bnn2c.targets import TargetError, load_target
from bnn2c.toolchain import ArenaOverrun, ObjectSizes, TargetRun, model_sizes, run_on_target
from bnn2c.toolchain.build import OPTIMIZE_FLAGS

if TYPE_CHECKING:
    from bnn2c.pipeline import Compiled
    from bnn2c.verify.vectors import Vectors

__all__ = ["measurements", "run_target"]

_LAYER_KEYS = ("name", "op", "binary_macs", "real_macs")


def run_target(compiled: Compiled, target: str, vectors: Vectors) -> tuple[TargetRun, ObjectSizes]:
    """Build, run every sample and measure; a program of its own, so that a crash of the C is a diagnostic.

    Raises:
        ToolchainMissing: a tool of the target is not installed.
        ArenaOverrun: the C wrote outside of its arena or its output.
        ToolchainError: it cannot be built or run.
        CompileError: BNN019 for an unknown target.
    """
    try:
        device = load_target(target)
    except TargetError as error:
        raise CompileError.single("BNN019", str(error)) from None
    with tempfile.TemporaryDirectory(prefix="bnn2c-verify-") as folder:
        flag, work = OPTIMIZE_FLAGS[compiled.options.optimize], Path(folder)
        run = run_on_target(compiled.files, compiled.manifest, device, vectors.inputs, work, opt=flag)
        sizes = model_sizes(compiled.files, device, work, opt=flag)
    if not run.guards_intact:
        raise ArenaOverrun(f"on {target} the generated code wrote outside of its arena or its output struct")
    return run, sizes


def measurements(run: TargetRun, sizes: ObjectSizes, manifest: dict[str, Any]) -> dict[str, Any]:
    """Instructions, layers and sizes as JSON-able data."""
    counts: Sequence[int | None] = run.layer_instructions or [None] * len(manifest["layers"])
    layers = [
        {**{key: layer.get(key) for key in _LAYER_KEYS}, "instructions": count}
        for layer, count in zip(manifest["layers"], counts, strict=True)
    ]
    return {
        "instructions": run.instructions,
        "constant_time": run.constant_time,
        "layers": layers,
        "flash_bytes": sizes.flash_bytes,
        "arena_bytes": manifest["arena_bytes"],
        "static_ram_bytes": sizes.static_ram_bytes,
        "stack_bytes": run.stack_bytes,
    }
