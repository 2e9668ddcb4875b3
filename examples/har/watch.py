"""Compiles har.onnx to a stream and lets it watch twelve recordings that it was not trained on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

import bnn2c
from bnn2c.targets import load_target
from bnn2c.toolchain import find_compiler

HERE = Path(__file__).resolve().parent
NAMES = ("standing", "walking", "running", "badminton")


def main() -> None:
    """Compile, build, watch."""
    test = np.load(HERE / "har_test.npz")
    model = bnn2c.compile(HERE / "har.onnx", name="har", stream=2, input_scale=0.25, input_offset=-32.0)
    folder = Path("gen") / "har"
    model.write(folder)
    facts = model.manifest
    print(f"{facts['weights_bytes']:,} bytes of weights, {facts['stream']['state_bytes']:,} bytes of state")
    program = folder / "watch"
    sources = [HERE / "main.c", *sorted(folder.glob("har*.c"))]
    build = [*find_compiler(load_target("host")), "-std=c99", "-O2", "-I", folder]
    subprocess.run([*build, "-o", program, *sources], check=True)
    frames = np.ascontiguousarray(test["motion"].transpose(0, 2, 1))
    seen = subprocess.run([program.resolve()], input=frames.tobytes(), capture_output=True, check=True).stdout
    right = 0
    for label, line in zip(test["label"], seen.decode().splitlines(), strict=True):
        name, results = line.split()
        right += NAMES[label] == name
        print(f"  did {NAMES[label]:10} seen as {name:10} from {results} results")
    print(f"{right} of {len(test['label'])} recordings right")


if __name__ == "__main__":
    main()
