"""Builds generated C and runs it: on this machine as a library, and on each target as a program under QEMU.

`build_shared` is for calling a model from Python; `run_on_target` also measures instructions and stack,
`model_sizes` code and constants.
The C side of the measuring program is in runtime_c/harness.
"""

from __future__ import annotations

from bnn2c.toolchain.elf import ObjectSizes
from bnn2c.toolchain.errors import ArenaOverrun, BuildFailed, DoesNotFit, RunFailed, ToolchainError, ToolchainMissing
from bnn2c.toolchain.host import HostLibrary, build_shared
from bnn2c.toolchain.target_run import TargetRun, model_sizes, run_on_target
from bnn2c.toolchain.tools import find_compiler, require_tools

__all__ = [
    "ArenaOverrun",
    "BuildFailed",
    "DoesNotFit",
    "HostLibrary",
    "ObjectSizes",
    "RunFailed",
    "TargetRun",
    "ToolchainError",
    "ToolchainMissing",
    "build_shared",
    "find_compiler",
    "model_sizes",
    "require_tools",
    "run_on_target",
]
