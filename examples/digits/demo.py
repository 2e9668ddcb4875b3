"""Compiles the digits network to C, runs it on 1,000 real digits and compares it with ONNX: `make demo`."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import terminal

import bnn2c
from bnn2c.toolchain import ToolchainError, ToolchainMissing, model_sizes, run_on_target

if TYPE_CHECKING:
    from bnn2c.toolchain import TargetRun

_HERE = Path(__file__).resolve().parent
_MODEL = _HERE / "digits_cnn.onnx"
_OUTPUT = Path("gen") / "digits"
_TARGET = "cortex-m4"
_QEMU_SAMPLES = 10
_TOLERANCE = 1e-5
"""Float outputs may differ by this fraction of their range: sums may be reordered."""

_console = terminal.make_console()
step = partial(terminal.step, _console)
say = partial(terminal.say, _console)

Logits = npt.NDArray[np.float32]
Measured = tuple["TargetRun", int]
Sizes = list[tuple[str, int, str]]


@dataclass(frozen=True)
class TestSet:
    """Pictures uint8 [n, 1, 28, 28], what one step of a pixel is worth, and the classes [n]."""

    image: npt.NDArray[np.uint8]
    scale: float
    label: npt.NDArray[np.uint8]


def main() -> None:
    """Run the demo; exit code 1 when C and ONNX differ or the network cannot be built."""
    try:
        differing = _demo()
    except (bnn2c.CompileError, ToolchainError) as error:
        sys.exit(str(error) if isinstance(error, bnn2c.CompileError) else f"error: {error}")
    sys.exit(1 if differing else 0)


def _demo() -> int:
    """Every step in order; returns the number of digits whose outputs differ."""
    test = _load(_HERE / "digits_test.npz")
    step(f"compiling {_MODEL.name} (a trained binary network, {_MODEL.stat().st_size:,} bytes of ONNX) for {_TARGET}")
    model = bnn2c.compile(_MODEL, target=_TARGET, name="digits", input_scale=test.scale)
    model.write(_OUTPUT)
    say(f"C files, manifest and report are in {_OUTPUT}")
    step(f"building that C for this machine and running all {len(test.label):,} test digits, in C and in onnxruntime")
    compiled, reference = _run_in_c(model, test), _run_in_onnxruntime(test)
    differing = _compare(compiled, reference, test)
    step(f"running {_QEMU_SAMPLES} digits with the same C on an emulated {_TARGET}")
    measured = _run_in_qemu(model, test)
    differing += _compare_with_host(measured[0], compiled) if measured else 0
    step(f"what the network needs on {_TARGET}")
    _show_costs(model, measured)
    step("to look at next")
    say(f"the whole report, with the reasons per layer: {(_OUTPUT / 'report.html').resolve().as_uri()}")
    say(f"the generated C: {_OUTPUT / 'digits.h'}, {_OUTPUT / 'digits.c'}; a firmware around it: examples/firmware")
    return differing


def _load(path: Path) -> TestSet:
    with np.load(path) as vectors:
        return TestSet(vectors["input"], float(vectors["input_scale"]), vectors["label"])


def _run_in_c(model: bnn2c.CompiledModel, test: TestSet) -> Logits:
    """Logits [n, 10] of the generated C, built by this machine's compiler."""
    return np.stack([model.run(image)[0].reshape(-1) for image in test.image])


def _run_in_onnxruntime(test: TestSet) -> Logits:
    """Logits [n, 10] of the ONNX file, which takes real pixels from 0 to 1."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(_MODEL), providers=["CPUExecutionProvider"])
    pixels = test.image.astype(np.float32) / np.float32(255)
    return np.stack([session.run(None, {"image": one[None]})[0].reshape(-1) for one in pixels])


def _compare(compiled: Logits, reference: Logits, test: TestSet) -> int:
    """Show a few digits and both accuracies; returns the number of digits whose outputs differ."""
    predicted = compiled.argmax(axis=1)
    shown = _interesting(predicted, test)
    captions = [_caption(int(predicted[i]), int(test.label[i])) for i in shown]
    _console.print()
    terminal.pictures(_console, [test.image[i, 0] for i in shown], captions)
    _console.print()
    for name, logits in (("C", compiled), ("ONNX", reference)):
        say(f"accuracy in {name + ':':6} {(logits.argmax(axis=1) == test.label).mean():.2%}")
    differing = _differences(compiled, reference)
    say(f"differing outputs: {differing} of {len(test.label):,}")
    return differing


def _caption(predicted: int, true: int) -> tuple[str, bool]:
    return (f"C: {predicted}" if predicted == true else f"C: {predicted}, true: {true}"), predicted == true


def _interesting(predicted: npt.NDArray[np.intp], test: TestSet) -> list[int]:
    """The first digits of four classes, then one that the network gets wrong, or another one if there is none."""
    first = np.sort(np.unique(test.label, return_index=True)[1]).tolist()
    wrong = np.flatnonzero(predicted != test.label).tolist()
    others = [index for index in [*wrong, first[4]] if index not in first[:4]]
    return [*first[:4], others[0]]


def _differences(ours: Logits, reference: Logits) -> int:
    """Number of samples with an output off by more than `_TOLERANCE` of the outputs' range."""
    allowed = _TOLERANCE * (reference.max() - reference.min())
    return int((np.abs(ours - reference).max(axis=1) > allowed).sum())


def _run_in_qemu(model: bnn2c.CompiledModel, test: TestSet) -> Measured | None:
    """A run of a few digits on the target, and bytes of flash; None, with a line that says why, without its tools."""
    from bnn2c.targets import load_target

    samples = [[image] for image in test.image[:_QEMU_SAMPLES]]
    with tempfile.TemporaryDirectory() as folder:
        try:
            target, work = load_target(_TARGET), Path(folder)
            run = run_on_target(model.files, model.manifest, target, samples, work)
            return run, model_sizes(model.files, target, work).flash_bytes
        except ToolchainMissing as error:
            say(f"skipped: {error}")
            return None


def _compare_with_host(run: TargetRun, compiled: Logits) -> int:
    """Say what the run in QEMU gave; returns the number of digits whose outputs differ from those on this machine."""
    outputs = np.stack([sample[0].reshape(-1) for sample in run.outputs])
    differing = _differences(outputs, compiled[: len(outputs)])
    say(f"outputs that differ from those on this machine: {differing} of {len(outputs)}")
    if run.instructions is not None:
        same = ", the same for every digit" if run.constant_time else ""
        say(f"instructions per digit: {run.instructions:,}{same}")
        milliseconds = run.instructions / 1e5
        say(f"(at 100 MHz {milliseconds:.0f} ms if each took one cycle; QEMU counts instructions, not cycles)")
    return differing


def _show_costs(model: bnn2c.CompiledModel, measured: Measured | None) -> None:
    layers = model.manifest["layers"]
    _console.print()
    terminal.layer_table(_console, layers, measured[0].layer_instructions if measured else [])
    terminal.size_table(_console, _sizes(model.manifest, model.report.data["sizes"], measured))


def _sizes(manifest: dict[str, Any], estimated: dict[str, Any], measured: Measured | None) -> Sizes:
    """Flash, arena and stack: measured on the target where it ran, else what the compiler states."""
    arena = ("arena", manifest["arena_bytes"], "working memory that the caller lends")
    if measured is None:
        flash = ("flash", estimated["flash_bytes"], "constants and an estimate of the code")
        return [flash, arena, ("stack", manifest["stack_bytes"], "upper bound")]
    run, flash_bytes = measured
    flash = ("flash", flash_bytes, "code and constants, as the cross compiler made them")
    return [flash, arena, ("stack", run.stack_bytes, f"measured; the stated bound is {manifest['stack_bytes']:,}")]


if __name__ == "__main__":
    main()
