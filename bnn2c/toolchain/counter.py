"""The instruction counters, built here, and what they wrote: a plugin of QEMU, and steps of native programs."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bnn2c.data import data_folder
from bnn2c.toolchain.elf import read_marks
from bnn2c.toolchain.tools import run_tool

__all__ = ["Counts", "counter_arguments", "read_counts", "write_marks"]

_PLUGIN = "count.so"
_MARKS = "marks.txt"
_COUNTS = "counts.txt"


@dataclass(frozen=True)
class Counts:
    """Instructions of each run of a model.

    Attributes:
        runs: per run the total, then one number per layer.
    """

    runs: list[list[int]]

    @property
    def largest(self) -> list[int]:
        """The run with the largest total."""
        return max(self.runs, key=lambda run: run[0])

    @property
    def equal(self) -> bool:
        """Whether all runs took the same instructions, in total and per layer."""
        return all(run == self.runs[0] for run in self.runs)

    @property
    def equal_layers(self) -> list[bool]:
        """Per layer, whether all runs took the same instructions."""
        return [len(set(counts)) == 1 for counts in list(zip(*self.runs, strict=True))[1:]]


def counter_arguments(program: Path, function: str, layers: int, emulator: str, *, step: bool = False) -> list[str]:
    """Arguments for QEMU that make it count; empty when the plugin cannot be built here.

    Args:
        program: the linked program; its folder is QEMU's current directory and receives the plugin's files.
        function: name of the model's function.
        layers: number of layers.
        emulator: path of QEMU.
        step: count each instruction by itself (slow; checks the method).
    """
    folder = program.parent
    if not _build_plugin(folder, emulator):
        return []
    layers = layers if write_marks(program, function) else 0
    return ["-plugin", f"./{_PLUGIN},marks={_MARKS},layers={layers},out={_COUNTS}{',step=1' if step else ''}"]


def write_marks(program: Path, function: str) -> bool:
    """Write the file of marks beside the program; whether layers have some."""
    marks = read_marks(program, function)
    lines = [f"{address:x} {number}\n" for address, number in marks]
    (program.parent / _MARKS).write_text("".join(lines), encoding="ascii")
    return any(number >= 2 for _, number in marks)


def read_counts(folder: Path) -> Counts | None:
    """What the plugin wrote in QEMU's current directory; None when nothing was counted."""
    path = folder / _COUNTS
    if not path.is_file():
        return None
    runs = [[int(word) for word in line.split()] for line in path.read_text(encoding="ascii").splitlines()]
    return Counts(runs) if runs else None


def _build_plugin(folder: Path, emulator: str) -> bool:
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    plugin = _plugin(compiler, emulator) if compiler else None
    if plugin is None:
        return False
    (folder / _PLUGIN).write_bytes(plugin)
    return True


@cache
def _plugin(compiler: str, emulator: str) -> bytes | None:
    """The plugin, built once in a process for each emulator; None when it cannot be built."""
    source = data_folder("runtime_c") / "harness" / "plugin" / "count.c"
    with tempfile.TemporaryDirectory(prefix="bnn2c-plugin-") as folder:
        made = Path(folder) / _PLUGIN
        version = f"-DBNN2C_QEMU_PLUGIN_VERSION={_plugin_version(emulator, made.parent)}"
        command = [compiler, "-std=c99", "-O2", "-shared", "-fPIC", version, str(source), "-o", str(made)]
        return made.read_bytes() if run_tool(command, made.parent).returncode == 0 else None


def _plugin_version(emulator: str, folder: Path) -> int:
    """The oldest version of the plugin interface that this QEMU accepts."""
    said = run_tool([emulator, "--version"], folder).stdout
    major = re.search(r"version (\d+)\.", said)
    return 2 if major and int(major[1]) >= 9 else 1
