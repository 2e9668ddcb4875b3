"""Clang in the place of a cross gcc: the same flags and headers; gcc goes on to link, and to build the harness."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bnn2c.targets import Target
from bnn2c.toolchain.tools import find_compiler, run_tool

__all__ = ["cross_clang"]

_GCC = re.compile(r"(?P<triple>\w+(?:-\w+)+)-gcc$")
_FOLDERS = re.compile(r"^#include <\.\.\.> search starts here:\n(.*?)^End of search list", re.M | re.S)


def cross_clang(target: Target, compiler: Sequence[str]) -> tuple[str, ...] | None:
    """The command of clang for a target whose own compiler is a cross gcc; None when `compiler` is no such clang.

    Args:
        target: its gcc says which headers of the C library are read; those of gcc itself are not.
        compiler: the command that was asked for.

    Raises:
        ToolchainMissing: when the target's gcc, which links, is not installed.
    """
    if "clang" not in Path(compiler[-1]).name or len(compiler) != 1:
        return None
    if (own := _GCC.search(target.compilers[0])) is None:
        return None
    gcc = find_compiler(target)
    with tempfile.TemporaryDirectory(prefix="bnn2c-clang-") as folder:
        said = run_tool([*gcc, *target.flags, "-xc", "-E", "-v", "/dev/null"], Path(folder)).stderr
    found = _FOLDERS.search(said)
    folders = [line.strip() for line in found[1].splitlines()] if found else []
    headers = [f"-isystem{path}" for path in folders if "/gcc" not in path or path.endswith(f"{own['triple']}/include")]
    return (compiler[0], f"--target={_triple(own['triple'], target.flags)}", *headers, *_known(target.flags))


def _triple(triple: str, flags: Sequence[str]) -> str:
    """The triple of clang, which has one for each register width of RISC-V."""
    narrow = any(flag.startswith("-march=rv32") for flag in flags)
    return triple.replace("riscv64", "riscv32") if narrow else triple


def _known(flags: Sequence[str]) -> list[str]:
    """The flags that clang knows: the library is chosen by gcc when it links."""
    return [flag for flag in flags if not flag.startswith("--specs")]
