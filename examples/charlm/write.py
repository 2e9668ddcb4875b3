"""Compiles charlm.onnx, builds main.c with it and lets it write: write.py [PROMPT] [CHARACTERS] [SEED]."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import bnn2c
from bnn2c.targets import load_target
from bnn2c.toolchain import find_compiler

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Compile, build, run."""
    model = bnn2c.compile(HERE / "charlm.onnx", name="charlm", states=[("state", "next_state")])
    folder = Path("gen") / "charlm"
    model.write(folder)
    facts = model.manifest
    print(
        f"{facts['weights_bytes']:,} bytes of weights, {facts['arena_bytes']:,} bytes of state and working memory, "
        f"{sum(row['binary_macs'] for row in facts['layers']):,} binary MACs a character\n",
        flush=True,
    )
    program = folder / "write"
    sources = [HERE / "main.c", *sorted(folder.glob("charlm*.c"))]
    build = [*find_compiler(load_target("host")), "-std=c99", "-O2", "-I", folder]
    subprocess.run([*build, "-o", program, *sources, "-lm"], check=True)
    sys.exit(subprocess.run([program.resolve(), *sys.argv[1:]], check=False).returncode)


if __name__ == "__main__":
    main()
