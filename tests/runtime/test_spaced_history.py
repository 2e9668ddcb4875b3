"""Frames of a stream that lie some frames apart: C = the frames that were given, in blocks of exactly their size."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from harness import RUNTIME
from strict import CHECKED_GCC

SIZES = [(1, 2, 1), (2, 3, 2), (1, 3, 16), (5, 9, 3), (3, 2, 7)]  # words of a frame, frames kept, gap
ALIVE = 40  # steps with a frame; zeros come behind them
STEPS = 60
MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include "bnn2c_spaced_history.h"
int main(void) {
  uint32_t h[3];
  while (fread(h, sizeof h, 1u, stdin) == 1u) {
    const bnn2c_spaced_history_t p = { h[0], h[1], h[2] };
    const size_t ring = 1u + (size_t)(p.kept - 1u) * p.gap * p.run, kept = (size_t)p.kept * p.run;
    uint32_t *const in = malloc(p.run * sizeof *in), *const out = malloc(kept * sizeof *out);
    uint32_t *const memory = calloc(ring, sizeof *memory);
    for (int32_t step = 0; step < STEPS; step++) {
      if (fread(in, sizeof *in, p.run, stdin) != p.run) { return 1; }
      bnn2c_spaced_history(&p, in, ALIVE - 1 - step, memory, out);
      if (fwrite(out, sizeof *out, kept, stdout) != kept) { return 1; }
    }
    free(in);
    free(out);
    free(memory);
  }
  return 0;
}
"""


def one_stream(run: int, kept: int, gap: int) -> tuple[bytes, bytes]:
    """What the program reads, and the frames kept after every step."""
    frames = np.random.default_rng(run + gap).integers(0, 2**32, (STEPS, run), np.uint32)
    past = np.zeros(((kept - 1) * gap, run), np.uint32)
    seen = np.concatenate([past, frames[:ALIVE], np.zeros_like(frames[ALIVE:])])
    wanted = [seen[step : step + len(past) + 1 : gap].tobytes() for step in range(STEPS)]
    return np.array([run, kept, gap], np.uint32).tobytes() + frames.tobytes(), b"".join(wanted)


def test_every_frame_at_its_distance(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(MAIN)
    numbers = [f"-DSTEPS={STEPS}", f"-DALIVE={ALIVE}", f"-I{RUNTIME}"]
    command = [*CHECKED_GCC, *numbers, str(tmp_path / "main.c"), "-o", str(tmp_path / "run")]
    subprocess.run(command, check=True, timeout=120)
    sent, wanted = (b"".join(parts) for parts in zip(*(one_stream(*size) for size in SIZES), strict=True))
    done = subprocess.run([str(tmp_path / "run")], input=sent, capture_output=True, check=True, timeout=60)
    assert done.stdout == wanted
