"""Generated C as a shared library of this machine, called from Python."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnn2c.targets import load_target
from bnn2c.toolchain.build import Builder, write_files
from bnn2c.toolchain.errors import ArenaOverrun, RunFailed
from bnn2c.toolchain.layout import Array, from_bytes, members, sample_bytes, struct_type

__all__ = ["HostLibrary", "build_shared"]

_GUARD_BYTES = 1024
_GUARD_VALUE = 0xC5


def build_shared(
    files: Mapping[str, str],
    manifest: dict[str, Any],
    workdir: Path,
    *,
    opt: str = "-O2",
    cflags: Sequence[str] = (),
    compiler: str | None = None,
) -> HostLibrary:
    """Build a generated model as a shared library and load it.

    Args:
        files: generated files, name to text.
        manifest: the manifest that belongs to them.
        workdir: folder for sources and objects; must stay as long as the library is used.
        opt: optimisation flag.
        cflags: further flags for the model's files and for linking.
        compiler: instead of the first of cc, gcc, clang and ziglang that is found.

    Raises:
        ToolchainMissing: without a C compiler.
        BuildFailed: when the compiler refuses a file.
    """
    workdir = Path(workdir).resolve()
    builder = Builder.for_target(load_target("host"), opt, cflags, compiler)
    sources = write_files(files, workdir / "src")
    objects = builder.compile(sources, workdir / "shared", ["-std=c99", "-fPIC", *cflags])
    library = workdir / f"lib{manifest['prefix']}.so"
    builder.link(objects, library, ["-shared"])
    return HostLibrary(library, manifest)


class HostLibrary:
    """A loaded model.

    Attributes:
        path: the library file.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        """Load the library.

        Args:
            path: the library file.
            manifest: the manifest of the model in it.
        """
        self.path = path
        self._inputs = members(manifest["inputs"])
        self._outputs = members(manifest["outputs"])
        self._input_type = struct_type(self._inputs)
        self._output_type = struct_type(self._outputs)
        self._function = getattr(ctypes.CDLL(str(path)), f"{manifest['prefix']}_run")
        self._function.restype = ctypes.c_int
        self._function.argtypes = [ctypes.c_void_p] * 3
        self._arena = _Guarded(int(manifest["arena_bytes"]), int(manifest["arena_align"]))
        self._output = _Guarded(ctypes.sizeof(self._output_type), ctypes.alignment(self._output_type))

    def run(self, inputs: Sequence[object]) -> list[Array]:
        """Run the model on one sample.

        Args:
            inputs: one array per input, in the manifest's order, type and shape (a batch axis of 1 does no harm).

        Returns:
            one array per output, with the manifest's type and shape.

        Raises:
            ValueError: when an input does not match.
            RunFailed: when the model returns an error status.
            ArenaOverrun: when it wrote outside of its arena or its output.
        """
        sample_bytes(self._inputs, inputs)  # refuses what does not match
        given = self._input_type()
        for field, value in zip(self._inputs, inputs, strict=True):
            ctypes.memmove(getattr(given, field.c_name), field.array(value).tobytes(), field.bytes)
        output, arena = self._output.prepare(), self._arena.prepare()
        status = self._function(ctypes.addressof(given), output, arena)
        if status != 0:
            raise RunFailed(f"{self._function.__name__} returned status {status}")
        if not (self._arena.intact() and self._output.intact()):
            raise ArenaOverrun(f"{self._function.__name__} wrote outside of its arena or its output struct")
        return self._result(output)

    def _result(self, address: int) -> list[Array]:
        made = self._output_type.from_address(address)
        return from_bytes(self._outputs, b"".join(bytes(getattr(made, field.c_name)) for field in self._outputs))


class _Guarded:
    """Aligned memory between two guards whose content shows a write outside of it."""

    def __init__(self, size: int, align: int) -> None:
        self._memory = np.empty(size + 2 * _GUARD_BYTES + align, np.uint8)
        self._start = _GUARD_BYTES + -(self._memory.ctypes.data + _GUARD_BYTES) % align
        self._end = self._start + size

    def prepare(self) -> int:
        """Fill the memory with garbage and renew the guards; the memory's address."""
        self._memory[:] = _GUARD_VALUE
        self._memory[self._start : self._end] = 0x5A
        return int(self._memory.ctypes.data) + self._start

    def intact(self) -> bool:
        """Whether both guards are as `prepare` left them."""
        guards = (self._memory[: self._start], self._memory[self._end :])
        return all(bool((guard == _GUARD_VALUE).all()) for guard in guards)
