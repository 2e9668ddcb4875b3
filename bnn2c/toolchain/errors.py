"""What can go wrong when generated C is built and run. The first line of each message is for the user."""

from __future__ import annotations

__all__ = ["ArenaOverrun", "BuildFailed", "DoesNotFit", "RunFailed", "ToolchainError", "ToolchainMissing"]


class ToolchainError(RuntimeError):
    """Base of all errors of building and running; following lines of the message are a tool's own output."""


class ToolchainMissing(ToolchainError):
    """A compiler, its C library or an emulator is not installed, or the processor lacks instructions."""


class BuildFailed(ToolchainError):
    """The compiler or the linker refused the program."""


class DoesNotFit(BuildFailed):
    """The program is larger than the memory of the emulated board."""


class RunFailed(ToolchainError):
    """The program crashed, did not end in time, or the model's function returned an error status."""


class ArenaOverrun(RunFailed):
    """The model wrote outside of its arena or its output struct."""
