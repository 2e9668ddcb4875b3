"""Sizes of the generated code as the target's compiler makes it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bnn2c.options import Options
    from bnn2c.pipeline import Compiled
    from bnn2c.report import Measured

__all__ = ["measure"]


def measure(compiled: Compiled, options: Options) -> Measured | None:
    """Build the objects and read their sizes; None when the target's compiler or C library is missing.

    Args:
        compiled: the generated C.
        options: what it was compiled with: target and optimisation.

    Raises:
        BuildFailed: when the compiler is there and refuses the code.
    """
    from bnn2c.report import Measured
    from bnn2c.targets import load_target
    from bnn2c.toolchain import ToolchainMissing
    from bnn2c.toolchain.build import OPTIMIZE_FLAGS, Builder, write_files
    from bnn2c.toolchain.elf import object_sizes

    with tempfile.TemporaryDirectory(prefix="bnn2c-") as folder:
        try:
            builder = Builder.for_target(load_target(options.target), OPTIMIZE_FLAGS[options.optimize], (), None)
            sources = write_files(compiled.files, Path(folder) / "src")
            sizes = object_sizes(builder.compile(sources, Path(folder) / "obj", ["-std=c99"]))
        except ToolchainMissing:
            return None
    compiler = Path(builder.compiler[0]).name
    return Measured(sizes.code_bytes, sizes.const_bytes, sizes.static_ram_bytes, compiler)
