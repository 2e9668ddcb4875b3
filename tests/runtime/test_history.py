"""The last frames of a stream: C = all frames that were given, and no access outside of frame and history."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from harness import RUNTIME
from strict import CHECKED_GCC

TYPES = {"f32": "float", "i32": "int32_t", "i16": "int16_t", "i8": "int8_t", "u8": "uint8_t"}
WORDS = {"bits": "uint32_t", "planes": "uint32_t"}
# Rows, run, frames, old.
SIZES = [(1, 1, 1, 1), (3, 5, 1, 4), (2, 4, 3, 2), (1, 6, 4, 0), (2, 40, 2, 3), (2, 64, 1, 2), (1, 32, 2, 0)]
SIZES += [(2, 32, 2, 1), (1, 33, 1, 1), (2, 31, 1, 2), (1, 16, 4, 2), (3, 11, 1, 2)]
FOREVER = 2**31 - 1
ENDS = [(1, FOREVER), (0, FOREVER), (-3, FOREVER), (0, FOREVER), (0, FOREVER), (0, 0), (0, -1)]  # of each step
# Blocks of exactly the size of a step and of a history, so that the sanitizer sees every access outside of them.
RUN = """
static int run_{0}(const bnn2c_history_t *p, size_t taken, size_t kept, uint32_t steps) {{
  {1} *const in = malloc(taken * sizeof *in), *const out = calloc(kept, sizeof *out);
  int32_t ends[2];
  for (uint32_t step = 0u; step < steps; step++) {{
    if (fread(ends, sizeof ends, 1u, stdin) != 1u || fread(in, sizeof *in, taken, stdin) != taken) {{ return 1; }}
    bnn2c_history_{0}(p, in, ends[0], ends[1], out);
    if (fwrite(out, sizeof *out, kept, stdout) != kept) {{ return 1; }}
  }}
  free(in);
  free(out);
  return 0;
}}
"""
HEAD = '#include <stdio.h>\n#include <stdlib.h>\n#include "bnn2c_history.h"\n'
MAIN = """
int main(void) {{
  uint32_t h[8];
  int failed = 0;
  while (failed == 0 && fread(h, sizeof h, 1u, stdin) == 1u) {{
    const bnn2c_history_t p = {{ h[1], h[2], h[3], h[4] }};
    switch (h[0]) {{
{cases}      default: failed = 1; break;
    }}
  }}
  return failed;
}}
"""


def packed(bits: np.ndarray) -> np.ndarray:
    """Rows of bits in words, the first one lowest; spare bits are 0."""
    words = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 32))).astype(np.uint8)
    return np.packbits(words, axis=1, bitorder="little").view("<u4")


def one_stream(number: int, suffix: str, size: tuple[int, int, int, int]) -> tuple[bytes, bytes]:
    """What the program reads, and the history after every step."""
    rows, run, frames, old = size
    rng, planes = np.random.default_rng(number), suffix == "planes"
    dtype = np.dtype({**TYPES, **WORDS}[suffix].removesuffix("_t").replace("float", "float32"))
    laid = packed if planes else np.asarray
    past, sent, wanted = np.zeros((rows, (old + frames) * run), dtype), b"", b""
    for first, last in ENDS:
        step = rng.integers(0, 2 if planes else 100, (rows, frames * run)).astype(dtype)
        exists = np.repeat([first <= frame <= last for frame in range(frames)], run)
        past = np.concatenate([past, np.where(exists, step, 0)], axis=1)[:, frames * run :].astype(dtype)
        sent += np.array([first, last], np.int32).tobytes() + laid(step).tobytes()
        wanted += laid(past).tobytes()
    head = [number, *size, laid(step).size, laid(past).size, len(ENDS)]
    return np.array(head, np.uint32).tobytes() + sent, wanted


def test_the_last_frames_in_order(tmp_path: Path) -> None:
    kinds = {**TYPES, **WORDS}
    runs = "".join(RUN.format(*kind) for kind in kinds.items())
    calls = "".join(
        f"      case {k}u: failed = run_{suffix}(&p, h[5], h[6], h[7]); break;\n" for k, suffix in enumerate(kinds)
    )
    (tmp_path / "main.c").write_text(HEAD + runs + MAIN.format(cases=calls))
    command = [*CHECKED_GCC, f"-I{RUNTIME}", str(tmp_path / "main.c"), "-o", str(tmp_path / "run")]
    subprocess.run(command, check=True, timeout=120)
    streams = [one_stream(number, suffix, size) for number, suffix in enumerate(kinds) for size in SIZES]
    sent, wanted = (b"".join(parts) for parts in zip(*streams, strict=True))
    done = subprocess.run([str(tmp_path / "run")], input=sent, capture_output=True, check=True, timeout=60)
    assert done.stdout == wanted
