"""Compiles text.onnx to a stream and lets it tell the language of sentences: read.py [SENTENCE...]."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import bnn2c
from bnn2c.targets import load_target
from bnn2c.toolchain import find_compiler

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Compile, build, read."""
    lines = (HERE / "sentences.txt").read_text(encoding="utf-8").splitlines()
    known = [("", text) for text in sys.argv[1:]] or [tuple(line.split("\t")) for line in lines]
    model = bnn2c.compile(HERE / "text.onnx", name="text", stream=1)
    folder = Path("gen") / "text"
    model.write(folder)
    facts = model.manifest
    print(f"{facts['weights_bytes']:,} bytes of weights, {facts['stream']['state_bytes']:,} bytes of state")
    program = folder / "read"
    sources = [HERE / "main.c", *sorted(folder.glob("text*.c"))]
    build = [*find_compiler(load_target("host")), "-std=c99", "-O2", "-I", folder]
    subprocess.run([*build, "-o", program, *sources], check=True)
    given = "".join(f"{text}\n" for _, text in known).encode()
    found = subprocess.run([program.resolve()], input=given, capture_output=True, check=True).stdout.decode().split()
    for (label, text), name in zip(known, found, strict=True):
        print(f"  {name:10} {text}{'' if label in ('', name) else f'   <- {label}'}")
    if len(sys.argv) == 1:
        print(f"{sum(label == name for (label, _), name in zip(known, found, strict=True))} of {len(found)} right")


if __name__ == "__main__":
    main()
