"""Compiles kws.onnx to a stream, lets it hear 30 clips that it was not trained on, and checks all test features."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

import bnn2c
from bnn2c.targets import load_target
from bnn2c.toolchain import find_compiler

HERE = Path(__file__).resolve().parent
WORDS = ("yes", "no", "stop", "go", "left", "right", "up", "down", "(other)", "(noise)")


def built(model: bnn2c.CompiledModel, folder: Path) -> Path:
    """The program that hears."""
    model.write(folder)
    program = folder / "listen"
    sources = [HERE / "main.c", HERE / "logmel.c", *sorted(folder.glob("kws*.c"))]
    build = [*find_compiler(load_target("host")), "-std=c99", "-O2", "-I", folder, "-I", HERE]
    subprocess.run([*build, "-o", program, *sources], check=True)
    return program.resolve()


def main() -> None:
    """Compile, listen, measure."""
    test = np.load(HERE / "kws_test.npz")
    model = bnn2c.compile(HERE / "kws.onnx", name="kws", stream=2, input_scale=float(test["input_scale"]))
    facts, folder = model.manifest, Path("gen") / "kws"
    print(f"{facts['weights_bytes']:,} bytes of weights, {facts['stream']['state_bytes']:,} bytes of state")
    program = built(model, folder)
    heard = subprocess.run([program], input=test["sound"].tobytes(), capture_output=True, check=True).stdout
    names = heard.decode().split()
    for label, name in zip(test["sound_label"], names, strict=True):
        print(f"  said {WORDS[label]:8} heard {name:8} {'' if WORDS[label] == name else '<-'}")
    right = [int(np.argmax(model.run(x)[0])) == y for x, y in zip(test["input"], test["label"], strict=True)]
    print(f"{100 * np.mean(right):.1f} % of {len(right)} test clips right, computed by the generated C")


if __name__ == "__main__":
    main()
