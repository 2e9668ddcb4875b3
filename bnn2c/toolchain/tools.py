"""Finds compilers and emulators, and runs them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bnn2c.targets import Target
from bnn2c.toolchain.errors import RunFailed, ToolchainMissing

__all__ = ["find_compiler", "find_emulator", "missing", "require_tools", "run_tool"]

_BUILD_TIMEOUT = 300.0
_CPU_INFO = Path("/proc/cpuinfo")


def find_compiler(target: Target, compiler: str | None = None) -> list[str]:
    """The command of the target's compiler.

    Args:
        target: its `compilers` are tried in order.
        compiler: program to use instead.

    Raises:
        ToolchainMissing: when none is installed.
    """
    names = (compiler,) if compiler else target.compilers
    for name in names:
        if name == "ziglang" and importlib.util.find_spec("ziglang"):
            return [sys.executable, "-m", "ziglang", "cc"]
        if path := shutil.which(name):
            return [path]
    hint = ", or with: pip install ziglang" if "ziglang" in names else ""
    raise missing(" or ".join(name for name in names if name != "ziglang"), target, hint)


def find_emulator(target: Target) -> str | None:
    """Path of the target's emulator; None for a native target. Raises ToolchainMissing."""
    if target.runner.kind in ("native", "native-x86"):
        _require_cpu(target)
        return None
    path = shutil.which(target.runner.emulator)
    if path is None:
        raise missing(target.runner.emulator, target)
    return path


def _require_cpu(target: Target) -> None:
    """Raises ToolchainMissing when this machine's processor lacks what the target's programs use."""
    if not target.runner.cpu_flags:
        return
    here = _CPU_INFO.read_text("ascii", "replace").split() if _CPU_INFO.is_file() else []
    lacking = [flag for flag in target.runner.cpu_flags if flag not in here]
    if lacking:
        raise ToolchainMissing(f"target {target.name} runs natively, and this processor lacks {', '.join(lacking)}")


def require_tools(target: Target) -> None:
    """Check that programs for the target can be built and run here; raises ToolchainMissing."""
    find_compiler(target)
    find_emulator(target)


def missing(what: str, target: Target, hint: str = "") -> ToolchainMissing:
    """The error for a tool of a target that is not installed."""
    install = f"sudo apt-get install {' '.join(target.packages)}"
    return ToolchainMissing(f"target {target.name} needs {what}; install it with: {install}{hint}")


def run_tool(command: Sequence[str], folder: Path, timeout: float = _BUILD_TIMEOUT) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder, without input and with English messages.

    Args:
        command: program and arguments.
        folder: its current directory.
        timeout: seconds.

    Raises:
        RunFailed: when it cannot be started or does not end in time.
    """
    environment = {**os.environ, "LC_ALL": "C", "LD_BIND_NOW": "1"}  # resolving symbols late would use stack
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RunFailed(f"{Path(command[0]).name} did not end within {timeout:g} s and was stopped") from error
    except OSError as error:
        raise RunFailed(f"{command[0]} cannot be started: {error.strerror}") from error
