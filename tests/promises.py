"""The promises of generated code as checks: each returns what is broken, empty when the promise is kept."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnn2c.targets import load_target
from bnn2c.toolchain import ArenaOverrun, RunFailed, build_shared, run_on_target

Files = Mapping[str, str]
TIME = re.compile(r"\b(19|20)\d\d-\d\d-\d\d|\b\d\d:\d\d:\d\d\b|__(DATE|TIME|TIMESTAMP)__")


def samples(manifest: dict[str, Any], count: int, seed: int = 0) -> list[list[np.ndarray]]:
    """Random inputs in the manifest's shapes and types."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        one = []
        for port in manifest["inputs"]:
            kind = np.dtype(port["dtype"])
            real = rng.standard_normal(port["shape"])
            one.append(real.astype(kind) if kind.kind == "f" else rng.integers(0, 128, port["shape"]).astype(kind))
        found.append(one)
    return found


def same_function(files: Files, compiled: Any, folder: Path, count: int = 400) -> list[str]:
    """The C computes what the final graph computes; the arena and the output are not overrun."""
    library = build_shared(dict(files), compiled.manifest, folder, opt="-O1")
    for number, sample in enumerate(samples(compiled.manifest, count)):
        try:
            got = library.run(sample)
        except (ArenaOverrun, RunFailed) as error:
            return [str(error)]
        wanted = compiled.reference(sample)
        for port, have, want in zip(compiled.manifest["outputs"], got, wanted, strict=True):
            limit = 1e-5 * float(np.ptp(want)) if have.dtype.kind == "f" else 0
            if not (np.abs(have.astype(float) - want.astype(float)) <= limit).all():
                return [f"sample {number}: output {port['name']} differs"]
    return []


def within_arena(files: Files, manifest: dict[str, Any], folder: Path) -> list[str]:
    """AddressSanitizer sees no access outside of an arena of exactly the stated size."""
    prefix = manifest["prefix"]
    main = f"""
#include "{prefix}.h"
#include <stdlib.h>
static {prefix}_input_t in;
static {prefix}_output_t out;
int main(void) {{
  void *arena = malloc({prefix.upper()}_ARENA_BYTES);
  int status = (int){prefix}_run(&in, &out, arena);
  free(arena);
  return status;
}}
"""
    write(folder, {**files, "main.c": main})
    sources = [str(path) for path in sorted(folder.glob("*.c"))]
    flags = ["-std=c99", "-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run(["gcc", *flags, *sources, "-o", str(folder / "run"), "-lm"], check=True, timeout=600)
    done = subprocess.run([str(folder / "run")], capture_output=True, text=True, timeout=300, check=False)
    return [] if done.returncode == 0 else [next((x for x in done.stderr.splitlines() if "ERROR" in x), "it crashed")]


def write(folder: Path, files: Files) -> None:
    """Files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")


def symbols(files: Files, folder: Path) -> list[tuple[str, str]]:
    """(kind, name) of every symbol of the model's objects, as nm prints them."""
    write(folder, files)
    for source in sorted(folder.glob("*.c")):
        made = str(source.with_suffix(".o"))
        command = ["gcc", "-std=c99", "-Os", "-ffreestanding", "-fno-pic", "-c", str(source), "-o", made]
        subprocess.run(command, check=True, timeout=60)
    objects = [str(path) for path in sorted(folder.glob("*.o"))]
    listing = subprocess.run(["nm", *objects], capture_output=True, text=True, check=True).stdout
    return [(words[-2], words[-1]) for words in map(str.split, listing.splitlines()) if len(words) >= 2]


def no_static_data(files: Files, folder: Path) -> list[str]:
    """No writable variables."""
    return [name for kind, name in symbols(files, folder) if kind in "DdBbCcSsGg"]


def no_library_calls(files: Files, folder: Path) -> list[str]:
    """Undefined symbols are the model's own only: no heap, no libc."""
    found = symbols(files, folder)
    own = {name for kind, name in found if kind not in "Uu"}
    return [name for kind, name in found if kind == "U" and name not in own and name != "_GLOBAL_OFFSET_TABLE_"]


def prefixed_symbols(files: Files, prefix: str, folder: Path) -> list[str]:
    """Every global symbol carries the model's or the runtime's prefix."""
    return [n for kind, n in symbols(files, folder) if kind in "TRDBCVW" and not n.startswith((f"{prefix}_", "bnn2c_"))]


def no_time_stamp(files: Files) -> list[str]:
    """Nothing in the files tells when they were made."""
    return [f"{name}: {match.group()}" for name, text in files.items() for match in TIME.finditer(text)]


def constant_time(
    files: Files, manifest: dict[str, Any], folder: Path, inputs: Sequence[list[np.ndarray]]
) -> list[str]:
    """The same number of instructions for every input, on an emulated Cortex-M4."""
    run = run_on_target(dict(files), manifest, load_target("cortex-m4"), list(inputs), folder)
    return [] if run.constant_time else [f"up to {run.instructions} instructions, depending on the input"]


def have(*tools: str) -> bool:
    """Whether all tools are installed."""
    return all(shutil.which(tool) for tool in tools)
