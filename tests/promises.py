"""The promises of generated code as checks: each returns what is broken, empty when the promise is kept."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strict import SANITIZE

from bnn2c import memory
from bnn2c.ir import Graph
from bnn2c.memory import Plan
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
    return sanitized(folder)


def sanitized(folder: Path, flags: Sequence[str] = ()) -> list[str]:
    """What AddressSanitizer and UBSan say of the program of all sources in a folder, and where."""
    sources = [str(path) for path in sorted(folder.glob("*.c"))]
    checks = ["-std=c99", "-O0", *SANITIZE["gcc"]]
    subprocess.run(["gcc", *checks, *flags, *sources, "-o", str(folder / "run"), "-lm"], check=True, timeout=600)
    done = subprocess.run([str(folder / "run")], capture_output=True, text=True, timeout=300, check=False)
    said = [line for line in done.stderr.splitlines() if "rror" in line or "#0" in line]
    return [] if done.returncode == 0 else said[:2] or ["it crashed"]


def keep_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan memory so that no buffer is another one's neighbour."""
    pack = memory._pack
    monkeypatch.setattr(memory, "_pack", lambda wanted: pack([replace(one, size=one.size + 16) for one in wanted]))


HOOKS = """
void own_layer(unsigned layer);
#define BNN2C_LAYER_BEGIN(i) own_layer(i)
#define BNN2C_LAYER_END(i) own_layer(~0u)
"""
OWN_LAYER = """
#include "{prefix}.h"
#include <sanitizer/asan_interface.h>
#include <stddef.h>
#include <stdlib.h>
static {prefix}_input_t in;
static {prefix}_output_t out;
static void *arena;
static void allow(void *base, size_t start, size_t bytes) {{
  __asan_unpoison_memory_region((unsigned char *)base + start, bytes);
}}
void own_layer(unsigned layer) {{
  const int all = layer == ~0u;
  void (*set)(void const volatile *, size_t) = all ? __asan_unpoison_memory_region : __asan_poison_memory_region;
  set(arena, {upper}_ARENA_BYTES);
  set(&in, sizeof in);
  set(&out, sizeof out);
  switch (layer) {{
{cases}  }}
}}
int main(void) {{
  arena = malloc({upper}_ARENA_BYTES);
  int status = (int){prefix}_run(&in, &out, arena);
  free(arena);
  return status;
}}
"""


def within_operands(files: Files, manifest: dict[str, Any], graph: Graph, plan: Plan, folder: Path) -> list[str]:
    """AddressSanitizer sees no access of a layer outside of its operands, its result, its scratch and constants.

    The hooks around each layer take everything else of input, output and arena out of reach. Up to seven bytes in
    front of a tensor stay readable: of each eight bytes the sanitizer knows how many can be read, from the first on.
    """
    prefix = manifest["prefix"]
    members = {key: [port["c_name"] for port in manifest[f"{key}s"]] for key in ("input", "output")}

    def place(value: str) -> str:
        where, port, start = plan.places[value]
        if where == "arena":
            return f"arena, {start}u"
        name, kind = ("in", "input") if where == "input" else ("out", "output")
        return f"&{name}, offsetof({prefix}_{kind}_t, {members[kind][port]}) + {start}u"

    cases, layers = "", [n for n, node in enumerate(graph.nodes) if node.output not in plan.elided]
    for index, number in enumerate(layers):
        node = graph.nodes[number]
        parts = [(place(value), graph.types[value].nbytes) for value in (*node.inputs, node.output)]
        if number in plan.scratch:
            parts.append((f"arena, {plan.scratch[number]}u", node.op.scratch_bytes(graph.input_types(node))))
        cases += f"    case {index}u: {' '.join(f'allow({at}, {size}u);' for at, size in parts)} break;\n"
    main = OWN_LAYER.format(prefix=prefix, upper=prefix.upper(), cases=cases)
    write(folder, {**files, "main.c": main, "hooks.h": HOOKS})
    return sanitized(folder, ["-include", str(folder / "hooks.h")])


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
    """Every global symbol carries the model's prefix: what two networks share of the runtime is static."""
    return [n for kind, n in symbols(files, folder) if kind in "TRDBCVW" and not n.startswith(f"{prefix}_")]


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
