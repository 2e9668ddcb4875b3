"""Runs generated C on a target, natively or under QEMU, and measures it."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bnn2c.data import data_folder
from bnn2c.targets import Target
from bnn2c.toolchain.build import Builder, write_files
from bnn2c.toolchain.counter import Counts, counter_arguments, read_counts, write_marks
from bnn2c.toolchain.elf import ObjectSizes, object_sizes
from bnn2c.toolchain.errors import RunFailed
from bnn2c.toolchain.layout import Array, Member, from_bytes, members, sample_bytes
from bnn2c.toolchain.tools import find_emulator, run_tool

__all__ = ["TargetRun", "model_sizes", "run_on_target"]

_PROGRAM = "program.elf"
_PAINT_BYTES = 65_536
# Status, stack bytes, guards intact: see runtime_c/harness/main.c.
_RECORD = {"little": struct.Struct("<iII"), "big": struct.Struct(">iII")}
_OK, _MORE = 0, 3  # bnn2c_status: a result, and a step of a stream that needs later frames for one


@dataclass(frozen=True)
class TargetRun:
    """What a target computed, and what it took.

    Attributes:
        outputs: per sample one array per output, in the manifest's order, type and shape; none for a step of a stream
            without a result.
        instructions: executed by one call of the model's function, the largest over the samples; None when not counted.
        layer_instructions: per layer, of that same call; empty when not counted or the model has no hooks.
        constant_time: whether every sample took the same instructions, in total and per layer; None when not counted.
        stack_bytes: largest stack use over the samples, from the caller's frame down.
        guards_intact: nothing was written outside of the arena and the output struct.
        constant_layers: per layer, whether every sample took the same instructions; empty as layer_instructions.
        counts: per sample the instructions in total and of each layer; empty when not counted.
    """

    outputs: list[list[Array]]
    instructions: int | None
    layer_instructions: list[int]
    constant_time: bool | None
    stack_bytes: int
    guards_intact: bool
    constant_layers: list[bool] = field(default_factory=list)
    counts: list[list[int]] = field(default_factory=list)


def run_on_target(
    files: Mapping[str, str],
    manifest: dict[str, Any],
    target: Target,
    samples: Sequence[Sequence[object]],
    workdir: Path,
    *,
    count: bool = True,
    opt: str | None = None,
    cflags: Sequence[str] = (),
    compiler: str | None = None,
    timeout: float = 600.0,
    step: bool = False,
    stream_steps: int = 0,
) -> TargetRun:
    """Build a generated model for a target, run it on samples and measure time and memory.

    Args:
        files: generated files, name to text.
        manifest: the manifest that belongs to them.
        target: what to build for and where to run.
        samples: per sample one array per input, as in the manifest.
        workdir: folder for everything that is written.
        count: count instructions (where the target runs under QEMU, or is stepped through).
        opt: optimisation flag; None takes the one of target.optimize.
        cflags: further flags for the model's files and for linking, such as sanitizers.
        compiler: instead of the target's own.
        timeout: seconds for the run.
        step: count each instruction by itself, slowly, to check the counter.
        stream_steps: the samples are the inputs of single steps, of a stream or with kept states, which begins again
            after as many.

    Raises:
        ToolchainMissing: when the compiler or the emulator is not installed.
        BuildFailed: when the model cannot be built; DoesNotFit when it is too large for the board.
        RunFailed: when it crashes, does not end in time or returns an error status.
        ValueError: when a sample does not match the manifest's inputs.
    """
    workdir = Path(workdir).resolve()
    builder = Builder.for_target(target, opt, cflags, compiler)
    emulator = find_emulator(target)
    stepping = count and target.runner.kind == "native-x86"
    ports = _step_ports(manifest) if stream_steps else manifest
    header = _model_header(ports, stepping, stream_steps)
    sources = write_files({**files, "harness_model.h": header}, workdir / "src")
    program = _build_program(builder, sources, workdir, count, stepping)

    inputs = members(ports["inputs"])
    given = [sample_bytes(inputs, sample, target.byte_order) for sample in samples]
    (workdir / "samples.bin").write_bytes(b"".join(given))
    counting: list[str] = []
    function = f"{manifest['prefix']}_{'step' if stream_steps else 'run'}"
    if count and emulator is not None:
        counting = counter_arguments(program, function, len(manifest["layers"]), emulator, step=step)
    elif stepping:
        write_marks(program, function)
    _execute(program, target, [*_emulation(target, emulator), *counting], timeout)
    counts = read_counts(workdir) if counting or stepping else None
    outputs = members(ports["outputs"])
    heads, found = _results(workdir / "results.bin", outputs, len(samples), target.byte_order)
    passed = (_OK, _MORE) if stream_steps else (_OK,)
    return _collect(heads, found, counts, passed)


def model_sizes(
    files: Mapping[str, str],
    target: Target,
    workdir: Path,
    *,
    opt: str | None = None,
    cflags: Sequence[str] = (),
    compiler: str | None = None,
) -> ObjectSizes:
    """Code, constants and undefined symbols of a generated model on a target, without measuring hooks.

    Args:
        files: generated files, name to text.
        target: what to build for.
        workdir: folder for everything that is written.
        opt: optimisation flag; None takes the one of target.optimize.
        cflags: further flags.
        compiler: instead of the target's own.

    Raises:
        ToolchainMissing: when the compiler is not installed.
        BuildFailed: when it refuses a file.
    """
    workdir = Path(workdir).resolve()
    sources = write_files(files, workdir / "sized")
    builder = Builder.for_target(target, opt, cflags, compiler)
    return object_sizes(builder.compile(sources, workdir / "plain", ["-std=c99", *cflags]))


def _step_ports(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with the inputs and outputs of one step."""
    step = manifest.get("stream") or manifest["state"]
    known = {key: {row["c_name"]: row for row in manifest[key]} for key in ("inputs", "outputs")}
    ports = {key: [{**rows[port["name"]], "shape": port["shape"]} for port in step[key]] for key, rows in known.items()}
    return {**manifest, **ports}


def _model_header(manifest: dict[str, Any], stepping: bool = False, stream_steps: int = 0) -> str:
    """harness_model.h, which ties runtime_c/harness/main.c to one model; `stepping`: counted by single steps."""
    prefix = manifest["prefix"]
    call = f"{prefix}_step((in), (arena), (out))" if stream_steps else f"{prefix}_run((in), (out), (arena))"
    given, found = ("frame", "result") if stream_steps else ("input", "output")
    lines = [
        f'#include "{prefix}.h"',
        *(['#include "step/count.h"'] if stepping else []),
        f"typedef {prefix}_{given}_t harness_input_t;",
        f"typedef {prefix}_{found}_t harness_output_t;",
        f"#define HARNESS_RUN(in, out, arena) ({'bnn2c_step_on(), ' if stepping else ''}{call})",
        f"#define HARNESS_ARENA_BYTES {prefix.upper()}_ARENA_BYTES",
        f"#define HARNESS_ARENA_ALIGN {prefix.upper()}_ARENA_ALIGN",
        f"#define HARNESS_PAINT_BYTES {_PAINT_BYTES}u",
        f"#define HARNESS_INPUTS(M) {' '.join(f'M({m.c_name})' for m in members(manifest['inputs']))}",
        f"#define HARNESS_OUTPUTS(M) {' '.join(f'M({m.c_name})' for m in members(manifest['outputs']))}",
    ]
    if stream_steps:
        lines += [f"#define HARNESS_RESET {prefix}_reset", f"#define HARNESS_STEPS {stream_steps}u"]
    return "\n".join(lines) + "\n"


def _build_program(builder: Builder, sources: Sequence[Path], workdir: Path, count: bool, stepping: bool) -> Path:
    """Link the model, with hooks where instructions are counted, to the harness; the path of the program."""
    harness = data_folder("runtime_c") / "harness"
    marks = ["-include", str(harness / "marks.h")] if count else []
    objects = builder.compile(sources, workdir / "model", ["-std=c99", *marks, *builder.cflags])

    runner = builder.target.runner
    system = runner.kind == "qemu-system"
    parts = [harness / "main.c", harness / ("io_semihosting.c" if system else "io_stdio.c")]
    if system:
        parts.append(harness / "boards" / f"{runner.startup}.c")
    if stepping:
        parts.append(harness / "step" / "count.c")
    own = builder.own().compile(parts, workdir / "harness", ["-std=c99", f"-I{workdir / 'src'}", f"-I{harness}"])
    boards = harness / "boards"
    board = ["-nostartfiles", f"-L{boards}", f"-T{boards / runner.board}.ld"] if system else []
    builder.link([*own, *objects], workdir / _PROGRAM, board)
    return workdir / _PROGRAM


def _emulation(target: Target, emulator: str | None) -> list[str]:
    """The command line before the program; empty for a native target."""
    runner = target.runner
    if emulator is None:
        return []
    cpu = ["-cpu", runner.cpu] if runner.cpu else []
    if runner.kind == "qemu-user":
        return [emulator, *cpu]
    quiet = ["-display", "none", "-monitor", "none", "-serial", "none", "-parallel", "none", "-nic", "none"]
    firmware = ["-bios", "none"] if runner.startup == "riscv" else []
    return [emulator, "-M", runner.machine, *cpu, *firmware, *quiet, "-semihosting-config", "enable=on,target=native"]


def _execute(program: Path, target: Target, command: Sequence[str], timeout: float) -> None:
    start = ["-kernel"] if target.runner.kind == "qemu-system" else []
    done = run_tool([*command, *start, str(program)], program.parent, timeout)
    if done.returncode != 0:
        said = [line for line in f"{done.stdout}{done.stderr}".splitlines() if "warning: nic" not in line]
        first = f"the program crashed on {target.name} (exit status {done.returncode})"
        raise RunFailed("\n".join([first, *said]))


def _results(
    path: Path, outputs: Sequence[Member], samples: int, order: str
) -> tuple[list[tuple[int, int, int]], list[list[Array]]]:
    """The file of results: per sample the record of the harness, and the outputs."""
    data, record = path.read_bytes(), _RECORD[order]
    step = record.size + sum(member.bytes for member in outputs)
    if len(data) != step * samples:
        raise RunFailed(f"the program wrote {len(data)} bytes of results instead of {step * samples}")
    pieces = [data[start : start + step] for start in range(0, len(data), step)]
    heads = [record.unpack_from(piece) for piece in pieces]
    return heads, [from_bytes(outputs, piece[record.size :], order) for piece in pieces]


def _collect(
    heads: Sequence[tuple[int, int, int]],
    outputs: list[list[Array]],
    counts: Counts | None,
    passed: Sequence[int],
) -> TargetRun:
    """Records, outputs and counts as a TargetRun; `passed`: what the function may return."""
    for index, (status, _, _) in enumerate(heads):
        if status not in passed:
            raise RunFailed(f"the model returned status {status} for sample {index}")
    largest = counts.largest if counts else None
    return TargetRun(
        outputs=[found if status == _OK else [] for (status, _, _), found in zip(heads, outputs, strict=True)],
        instructions=largest[0] if largest else None,
        layer_instructions=largest[1:] if largest else [],
        constant_time=counts.equal if counts else None,
        stack_bytes=max((stack for _, stack, _ in heads), default=0),
        guards_intact=all(intact for _, _, intact in heads),
        constant_layers=counts.equal_layers if counts else [],
        counts=counts.runs if counts else [],
    )
