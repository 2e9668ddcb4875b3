"""Compiles and links C files in a folder of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CompletedProcess

from bnn2c.targets import Target
from bnn2c.toolchain.clang import cross_clang
from bnn2c.toolchain.errors import BuildFailed, DoesNotFit
from bnn2c.toolchain.tools import find_compiler, missing, run_tool

__all__ = ["OPTIMIZE_FLAGS", "Builder", "write_files"]

OPTIMIZE_FLAGS = {"size": "-Os", "balanced": "-O2", "speed": "-O3"}

_NO_LIBRARY = re.compile(
    r"cannot read spec file|fatal error: (?:std\w+|string|math|limits)\.h|cannot find -l(?:c|m|gcc)\b"
)
_TOO_LARGE = re.compile(r"region [`'](\w+)' overflowed by (\d+) bytes")


@dataclass(frozen=True)
class Builder:
    """One compiler with the flags of one target.

    Attributes:
        target: whose compiler and flags are used.
        compiler: command of the compiler, with the target's flags.
        linker: command that links; the compiler itself, but for a clang in place of a cross gcc.
        opt: optimisation flag.
        cflags: further flags, for compiling and linking.
    """

    target: Target
    compiler: tuple[str, ...]
    linker: tuple[str, ...]
    opt: str
    cflags: tuple[str, ...] = ()

    @classmethod
    def for_target(cls, target: Target, opt: str | None, cflags: Sequence[str], compiler: str | None) -> Builder:
        """The builder for a target; `opt` None takes the target's own. Raises ToolchainMissing."""
        found, level = find_compiler(target, compiler), opt or OPTIMIZE_FLAGS[target.optimize]
        own = (*found, *target.flags)
        clang = cross_clang(target, found)
        linker = (*find_compiler(target), *target.flags) if clang else own
        return cls(target, clang or own, linker, level, tuple(cflags))

    def compile(self, sources: Sequence[Path], folder: Path, flags: Sequence[str]) -> list[Path]:
        """Compile each source to an object file in `folder`.

        Raises:
            BuildFailed: with the compiler's messages.
            ToolchainMissing: when the target's C library is not installed.
        """
        folder.mkdir(parents=True, exist_ok=True)
        objects = [folder / f"{source.stem}.o" for source in sources]
        for source, made in zip(sources, objects, strict=True):
            command = [*self.compiler, self.opt, *flags, "-c", str(source), "-o", str(made)]
            self._checked(run_tool(command, folder), f"compiling {source.name}")
        return objects

    def link(self, objects: Sequence[Path], program: Path, flags: Sequence[str]) -> None:
        """Link object files to a program (or a shared library, with -shared in `flags`).

        Raises:
            DoesNotFit: when the board's memory is too small.
            BuildFailed: with the linker's messages.
        """
        inputs = [str(path) for path in objects]
        fixed = [*self.target.link_flags, *self.cflags]
        command = [*self.linker, *fixed, *inputs, *flags, "-lm", "-o", str(program)]
        self._checked(run_tool(command, program.parent), f"linking {program.name}")

    def own(self) -> Builder:
        """The builder with the target's own compiler, for what belongs to the target and not to the model."""
        return replace(self, compiler=self.linker)

    def _checked(self, done: CompletedProcess[str], step: str) -> None:
        if done.returncode == 0:
            return
        if _NO_LIBRARY.search(done.stderr):
            raise missing("a C library for its compiler", self.target)
        if too_large := _TOO_LARGE.search(done.stderr):
            memory = f"memory {too_large[1]} of the emulated board {self.target.runner.machine}"
            raise DoesNotFit(f"{self.target.name}: the model is {int(too_large[2]):,} bytes too large for {memory}")
        raise BuildFailed(f"{step} for {self.target.name} failed\n{done.stderr.strip()}")


def write_files(files: Mapping[str, str], folder: Path) -> list[Path]:
    """Write text files to a folder.

    Args:
        files: file name (no folders in it) to text.
        folder: is made when needed.

    Returns:
        the paths of the C sources among them, sorted.

    Raises:
        ValueError: when a name would leave the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        if Path(name).name != name:
            raise ValueError(f"{name!r} is not a plain file name")
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return sorted(folder / name for name in files if name.endswith(".c"))
