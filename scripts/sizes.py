"""Flash, RAM and instructions of models on a target, as rows of a Markdown table.

    python scripts/sizes.py cortex-m4 MODEL.onnx[:INPUT_SCALE] ...

Sizes are those of the target's compiler; instructions are counted by QEMU. Every row is also compared with the
reference: the last column is the number of differing samples.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAD = ("model", "optimise", "constants", "code", "arena", "stack", "instructions", "differing")


def bnn2c(command: str, model: str, *options: str) -> dict:
    """The JSON document of a command."""
    words = [sys.executable, "-m", "bnn2c", command, model, *options, "--json", "--quiet"]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode not in (0, 1, 3):
        sys.exit(run.stderr)
    return json.loads(run.stdout)


def row(target: str, model: str, optimize: str) -> tuple[str, ...]:
    """One model with one setting."""
    path, _, scale = model.partition(":")
    options = ["--optimize", optimize, *(["--input-scale", scale] if scale else [])]
    report = bnn2c("check", path, "--target", target, *options)["report"]
    run = bnn2c("verify", path, "--on", target, "--samples", "5", *options)["results"][0]
    sizes = [report["sizes"][key] for key in ("constant_bytes", "code_bytes", "arena_bytes")]
    counts = [*sizes, run["stack_bytes"], run["instructions"]]
    return (Path(path).stem, optimize, *(f"{count:,}" for count in counts), f"{run['mismatches']} of {run['samples']}")


def main() -> None:
    """Print the table."""
    target, *models = sys.argv[1:]
    print("| " + " | ".join(HEAD) + " |\n|" + " --- |" * 2 + " ---: |" * (len(HEAD) - 2))
    for model in models:
        for optimize in ("size", "balanced", "speed"):
            print("| " + " | ".join(row(target, model, optimize)) + " |", flush=True)


if __name__ == "__main__":
    main()
