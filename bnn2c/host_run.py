"""Runs generated C on this machine, from Python."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["HostModel"]


class HostModel:
    """Generated C as a shared library, built once; its files live as long as the object."""

    def __init__(self, files: dict[str, str], manifest: dict[str, Any]) -> None:
        """Build the library with the C compiler of this machine.

        Args:
            files: text of the C files by name.
            manifest: their manifest.

        Raises:
            ToolchainMissing: when there is no C compiler.
            BuildFailed: when the compiler refuses the files.
        """
        from bnn2c.toolchain import build_shared

        self._folder = tempfile.TemporaryDirectory(prefix="bnn2c-")
        self._library = build_shared(files, manifest, Path(self._folder.name))

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Outputs in the order of the manifest, for one array per input in the order of the manifest."""
        return self._library.run(list(inputs))
