"""The oracle chain: runs the generated C and compares it with the ONNX reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bnn2c.errors import CompileError, plural
from bnn2c.importer import load_model
from bnn2c.verify.compare import Tolerance, close, tolerances
from bnn2c.verify.fixed import compared_fixed
from bnn2c.verify.inner import Inner, Runner
from bnn2c.verify.reference import Reference, ReferenceFailed
from bnn2c.verify.rounding import Judge
from bnn2c.verify.runner import measurements, run_target
from bnn2c.verify.vectors import Vectors, load_vectors, random_vectors, representable

if TYPE_CHECKING:
    from bnn2c.options import Options
    from bnn2c.pipeline import Compiled
    from bnn2c.verify.bounded import Array

__all__ = ["verify_model"]

_EXAMINED = 4  # further samples that differ are mismatches without a search for the cause


def verify_model(
    compiled: Compiled,
    model_path: Path,
    targets: Sequence[str],
    vectors: Path | None,
    samples: int,
    progress: Callable[[str], object] | None = None,
    run: Runner = run_target,
) -> dict[str, Any]:
    """Run the generated C on each target and compare every output of every sample.

    Args:
        compiled: result of `compile_model`.
        model_path: the ONNX file it was made from.
        targets: names of targets.
        vectors: .npz file; its outputs, if it has any, are the reference, else onnxruntime is.
        samples: number of random samples without `vectors`.
        progress: told what is being done.
        run: builds, runs and measures the C on a target.

    Returns:
        the document of `verify --json`, schema 1 (docs/cli.md).

    Raises:
        CompileError: BNN022 when the vectors do not fit or there is no reference.
        ToolchainMissing: a target's tools, or onnxruntime, are not installed.
        ToolchainError: the C cannot be built or run.
    """
    tell = progress or (lambda text: None)
    given = load_vectors(vectors, compiled.manifest, compiled.options) if vectors else None
    given = given or random_vectors(samples, compiled.imported, compiled.options)
    given = representable(given, load_model(model_path, compiled.options))
    tell("running the reference")
    meant = compiled.options.sign_zero is not None  # stored outputs hold ONNX's sign(0) = 0
    stored = None if meant else given.outputs
    expected = stored or _reference_outputs(model_path, given, compiled.options)
    allowed = tolerances(compiled.manifest["outputs"], expected)
    judge = Judge(compiled, Path(model_path), given, expected, allowed)
    origin = "vectors" if stored else "onnxruntime"
    found = []
    for target in targets:
        tell(f"{target}: building and running {plural(len(given.inputs), 'sample')}")
        done, sizes = run(compiled, target, given)
        tell(f"{target}: comparing")
        if "fixed_point" in compiled.manifest:
            verdict = compared_fixed(compiled, given.inputs, done.outputs, expected)
        else:
            verdict = _compared(done.outputs, expected, allowed, judge, Inner(compiled, target, given, run))
        measured = measurements(done, sizes, compiled.manifest)
        found.append({"target": target, **verdict, "reference": origin, **measured})
    return {"schema": 1, "model": str(model_path), "results": found}


def _reference_outputs(model_path: Path, vectors: Vectors, options: Options) -> list[list[Array]]:
    reference = Reference(load_model(model_path, options))
    try:
        return [reference.run(feed) for feed in vectors.feeds]
    except ReferenceFailed as error:
        hint = "give --vectors with a file that holds the outputs of another executor (output, output1, ...)"
        raise CompileError.single("BNN022", f"onnxruntime cannot run the model: {error}", hint=hint) from error


def _compared(
    got: Sequence[Sequence[Array]],
    expected: Sequence[Sequence[Array]],
    allowed: Sequence[Tolerance],
    judge: Judge,
    inner: Inner,
) -> dict[str, Any]:
    """Counts, the largest error outside of rounding, the first mismatch and the list of roundings."""
    mismatches: list[dict[str, Any]] = []
    roundings: list[dict[str, Any]] = []
    largest = 0.0
    for sample, (outputs, reference) in enumerate(zip(got, expected, strict=True)):
        if not close(outputs, reference, allowed):
            examined = len(mismatches) < _EXAMINED
            finding = judge.judge(sample, outputs, inner) if examined else judge.unexamined(sample, outputs)
            (roundings if finding.rounding else mismatches).append(finding.data(sample))
            if finding.rounding:
                continue
        errors = [t.error(a, b) for t, a, b in zip(allowed, outputs, reference, strict=True)]
        largest = max(largest, *errors)
    return {
        "samples": len(expected),
        "mismatches": len(mismatches),
        "rounding": len(roundings),
        "max_abs_error": min(largest, float(np.finfo(np.float32).max)),
        "first_difference": mismatches[0] if mismatches else None,
        "rounding_samples": roundings,
    }
