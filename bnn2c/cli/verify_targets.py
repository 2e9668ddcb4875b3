"""What `bnn2c verify` does between its options and its output: one compilation and one run per target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnn2c.cli.progress import Progress, progress
from bnn2c.errors import Diagnostic

if TYPE_CHECKING:
    from bnn2c.options import Options

__all__ = ["Outcome", "chosen_targets", "verify_on"]

_ALL = "all"


@dataclass
class Outcome:
    """What the targets answered.

    Attributes:
        data: the JSON of `verify --json`; the results are in the order of the targets.
        missing: diagnostics of targets whose tools are missing, so that they have no result.
    """

    data: dict[str, Any]
    missing: list[Diagnostic] = field(default_factory=list)


def chosen_targets(on: Sequence[str]) -> list[str]:
    """Names of targets from `--on` values, each of which may be a comma-separated list or `all`; without repetition."""
    from bnn2c.targets import list_targets

    asked = [name.strip() for value in on for name in value.split(",") if name.strip()]
    names = [name for one in asked for name in (list_targets() if one == _ALL else [one])]
    return list(dict.fromkeys(names))


def verify_on(model: Path, targets: Sequence[Options], vectors: Path | None, samples: int, *, quiet: bool) -> Outcome:
    """Compile for each target, run there and compare.

    Args:
        model: the .onnx file.
        targets: options of each compilation.
        vectors: inputs from a file; None makes `samples` random ones.
        samples: number of random inputs.
        quiet: show no progress.

    Raises:
        CompileError: when the model cannot be compiled or the vectors do not fit; a missing tool is not raised.
    """
    from bnn2c.toolchain import ToolchainMissing

    outcome = Outcome({"schema": 1, "model": str(model), "results": []})
    with progress(quiet) as step:
        for options in targets:
            try:
                outcome.data["results"] += _verify(model, options, vectors, samples, step)["results"]
            except ToolchainMissing as error:
                outcome.missing.append(Diagnostic("BNN021", str(error)))
    return outcome


def _verify(model: Path, options: Options, vectors: Path | None, samples: int, step: Progress) -> dict[str, Any]:
    from bnn2c.pipeline import compile_model
    from bnn2c.verify import verify_model

    step(f"{options.target}: compiling {model.name}")
    compiled = compile_model(model, options)
    step(f"{options.target}: running")
    return verify_model(compiled, model, [options.target], vectors, samples, step)
