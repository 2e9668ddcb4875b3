"""Compiles every model of a folder of real exports, runs the C and compares it with the stored reference outputs.

One line per model: verified, rounding, refused (with the codes of the diagnostics) or MISMATCH. Exit status 1 when a
model is a mismatch, its C cannot be built or run, it takes more stack than is stated, or the compiler raised anything
but diagnostics. With `--target cortex-m4` the C runs under QEMU there, in so far as it fits.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

FAILURES = ("MISMATCH", "ERROR")
HEAD = ("model", "result", "samples", "largest error", "binary MACs", "real MACs", "flash", "arena", "seconds")


@dataclass
class Line:
    """What became of one model."""

    model: str
    result: str
    samples: int = 0
    error: float = 0.0
    binary_macs: int = 0
    real_macs: int = 0
    flash: int = 0
    arena: int = 0
    seconds: float = 0.0
    detail: str = ""

    @property
    def kind(self) -> str:
        """The first word of the result."""
        return self.result.split()[0]

    @property
    def cells(self) -> list[str]:
        """The row of the table."""
        if self.kind in ("refused", "ERROR"):
            return [self.model, self.result, *[""] * 6, f"{self.seconds:.1f}"]
        numbers = [self.samples, self.binary_macs, self.real_macs, self.flash, self.arena]
        first, *rest = (f"{n:,}" for n in numbers)
        return [self.model, self.result, first, f"{self.error:.1e}", *rest, f"{self.seconds:.1f}"]


def models_of(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Models below the folder whose path contains one of the patterns (all when there is none)."""
    found = sorted([*folder.rglob("*.onnx"), *folder.rglob("*.onnx.gz")])
    return [path for path in found if not patterns or any(p in str(path.relative_to(folder)) for p in patterns)]


def vectors_of(model: Path) -> Path:
    """The .npz beside a model."""
    return model.with_name(model.name.removesuffix(".gz").removesuffix(".onnx") + ".npz")


def check(model: Path, folder: Path, target: str, optimize: str) -> Line:
    """Compile, run and compare one model; never raises."""
    from bnn2c.errors import CompileError
    from bnn2c.toolchain import DoesNotFit

    line = Line(str(model.relative_to(folder)), "")
    start = time.perf_counter()
    try:
        _verify(line, model, target, optimize)
    except CompileError as error:
        codes = ", ".join(dict.fromkeys(d.code for d in error.diagnostics))
        line.result, line.detail = f"refused {codes}", error.diagnostics[0].line()
    except DoesNotFit as error:
        line.result, line.detail = "refused: too large", str(error)
    except Exception as error:  # noqa: BLE001 - any exception of the compiler is a finding
        line.result, line.detail = f"ERROR {type(error).__name__}", str(error)[:2000]
    line.seconds = time.perf_counter() - start
    return line


def _verify(line: Line, model: Path, target: str, optimize: str) -> None:
    import numpy as np

    from bnn2c.api import options_for
    from bnn2c.pipeline import compile_model
    from bnn2c.verify import verify_model

    vectors = vectors_of(model)
    with np.load(vectors) as file:
        scale = float(file["input_scale"]) if "input_scale" in file else None
    if scale and abs(scale * round(1 / scale) - 1) < 2e-7:
        scale = 1 / round(1 / scale)
    compiled = compile_model(model, options_for(target, input_scale=scale, optimize=optimize or None))
    (result,) = verify_model(compiled, model, [target], vectors, 0)["results"]
    line.samples, line.error = result["samples"], result["max_abs_error"]
    line.flash, line.arena = result["flash_bytes"], result["arena_bytes"]
    line.binary_macs = sum(layer["binary_macs"] or 0 for layer in result["layers"])
    line.real_macs = sum(layer["real_macs"] or 0 for layer in result["layers"])
    line.result = f"rounding {result['rounding']}" if result["rounding"] else "verified"
    bound = compiled.manifest["stack_bytes"]
    if result["stack_bytes"] > bound:
        line.result, line.detail = "ERROR stack", f"{result['stack_bytes']} bytes used, {bound} stated"
    if result["mismatches"]:
        line.result, line.detail = f"MISMATCH {result['mismatches']}", str(result["first_difference"])


def sweep(models: Sequence[Path], folder: Path, target: str, optimize: str, jobs: int) -> Iterator[Line]:
    """Check all models in `jobs` processes, in the order in which they get ready."""
    with ProcessPoolExecutor(jobs) as pool:
        waiting = {pool.submit(check, model, folder, target, optimize): model for model in models}
        for done in as_completed(waiting):
            try:
                yield done.result()
            except BrokenProcessPool as error:
                yield Line(str(waiting[done].relative_to(folder)), "ERROR process", detail=str(error))


def page(lines: Sequence[Line], target: str) -> str:
    """The table as Markdown."""
    counts = Counter(line.kind for line in lines)
    summary = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))
    rows = [f"| {' | '.join(row)} |" for row in (HEAD, ["---", "---", *["---:"] * 7], *(line.cells for line in lines))]
    notes = [f"* {line.model}, {line.result}: {line.detail}" for line in lines if line.kind in FAILURES]
    return (
        "<!-- Written by `make corpus`. -->\n\n# Corpus\n\n"
        f"Networks as real exporters write them, compiled for `{target}`, run, and compared with the reference\n"
        f"outputs stored beside them: {summary}.\n\n"
        "*verified*: every sample agrees. *rounding n*: n samples differ only because the reference decides a tie\n"
        "by rounding (shown by replaying its decisions; docs/cli.md has the definition). *refused*: with these\n"
        "diagnostics. *MISMATCH n*: see below the table; stage `precision` means that no decision differs and that\n"
        "float32 rounding in the reference and in C takes a real output more than 1e-5 of its range apart.\n\n"
        + "\n".join([*rows, "", *notes]).rstrip()
        + "\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sweep; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("patterns", nargs="*", help="only models whose path contains one of these")
    parser.add_argument("--corpus", type=Path, default=ROOT.parent / "shared" / "corpus", help="folder of models")
    parser.add_argument("--target", default="host")
    parser.add_argument("--optimize", default="", choices=("", "size", "balanced", "speed"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--page", type=Path, help="write the table here (default: docs/corpus.md in a full sweep)")
    given = parser.parse_args(arguments)
    lines = []
    folder = given.corpus.resolve()
    for line in sweep(models_of(folder, given.patterns), folder, given.target, given.optimize, given.jobs):
        lines.append(line)
        print(f"{line.result:<16} {line.model}  {line.seconds:.1f} s  {line.detail}", flush=True)
    lines.sort(key=lambda line: line.model)
    goal = given.page or (None if given.patterns else ROOT / "docs" / "corpus.md")
    if goal and lines:
        goal.write_text(page(lines, given.target), "utf-8")
    print(dict(Counter(line.kind for line in lines)))
    return int(not lines or any(line.kind in FAILURES for line in lines))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
