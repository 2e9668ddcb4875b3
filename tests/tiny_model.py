"""A generated model of a few lines, written by hand: one binary dense layer and one that sums."""

from __future__ import annotations

from typing import Any

import numpy as np

_HEADER = """
#ifndef TINY_H
#define TINY_H
#include <stdint.h>
#define TINY_ARENA_BYTES 40
#define TINY_ARENA_ALIGN 8
#ifndef BNN2C_LAYER_BEGIN
#define BNN2C_LAYER_BEGIN(i)
#define BNN2C_LAYER_END(i)
#endif
typedef struct { uint8_t flag[3]; int32_t words[8]; } tiny_input_t;
typedef struct { int32_t counts[8]; float scaled[1]; } tiny_output_t;
int tiny_run(const tiny_input_t *in, tiny_output_t *out, void *arena);
#endif
"""

_SOURCE = """
#include "tiny.h"
extern const uint32_t tiny_weights[8];
GLOBAL
static uint32_t popcount(uint32_t x) {
  x = x - ((x >> 1) & 0x55555555u);
  x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
  return (((x + (x >> 4)) & 0x0F0F0F0Fu) * 0x01010101u) >> 24;
}
int tiny_run(const tiny_input_t *in, tiny_output_t *out, void *arena) {
  uint32_t *scratch = arena;
  if (in == 0 || out == 0 || arena == 0) { return 1; }
  BNN2C_LAYER_BEGIN(0);
  for (int i = 0; i < 8; i++) { scratch[i] = popcount((uint32_t)in->words[i] ^ tiny_weights[i]); }
  BNN2C_LAYER_END(0);
  BNN2C_LAYER_BEGIN(1);
  int32_t sum = 0;
  for (int i = 0; i < 8; i++) { out->counts[i] = (int32_t)scratch[i]; sum += out->counts[i] + in->flag[0]; }
  EXTRA
  out->scaled[0] = SCALED;
  BNN2C_LAYER_END(1);
  return STATUS;
}
"""

_WEIGHTS = [0x01234567, 0x89ABCDEF, 0x0, 0xFFFFFFFF, 0x55555555, 0xDEADBEEF, 0x1, 0x80000000]


def tiny_files(
    *, extra: str = "", scaled: str = "(float)sum", status: str = "0", variables: str = ""
) -> dict[str, str]:
    """The model's files; the arguments are C put into its last layer."""
    source = _SOURCE.replace("EXTRA", extra).replace("SCALED", scaled)
    values = ", ".join(f"{weight:#x}u" for weight in _WEIGHTS)
    return {
        "tiny.h": _HEADER,
        "tiny.c": source.replace("STATUS", status).replace("GLOBAL", variables),
        "tiny_weights.c": f"#include <stdint.h>\nextern const uint32_t tiny_weights[8];\n"
        f"const uint32_t tiny_weights[8] = {{{values}}};\n",
    }


def tiny_manifest() -> dict[str, Any]:
    """The model's manifest, with the keys that building and running need."""
    return {
        "prefix": "tiny",
        "inputs": [
            {"name": "flag", "c_name": "flag", "dtype": "uint8", "shape": [3], "bytes": 3},
            {"name": "words", "c_name": "words", "dtype": "int32", "shape": [2, 4], "bytes": 32},
        ],
        "outputs": [
            {"name": "counts", "c_name": "counts", "dtype": "int32", "shape": [2, 4], "bytes": 32},
            {"name": "scaled", "c_name": "scaled", "dtype": "float32", "shape": [1], "bytes": 4},
        ],
        "arena_bytes": 40,
        "arena_align": 8,
        "layers": [{"index": 0, "name": "dense"}, {"index": 1, "name": "sum"}],
    }


def tiny_samples(count: int) -> list[list[np.ndarray]]:
    """Random inputs."""
    rng = np.random.default_rng(1)
    return [
        [rng.integers(0, 256, 3, dtype=np.uint8), rng.integers(-(2**31), 2**31, (2, 4), dtype=np.int32)]
        for _ in range(count)
    ]


def tiny_reference(sample: list[np.ndarray]) -> list[np.ndarray]:
    """What the model computes."""
    flag, words = sample
    mixed = words.astype(np.uint32).ravel() ^ np.array(_WEIGHTS, np.uint32)
    counts = np.array([bin(int(word)).count("1") for word in mixed], np.int32).reshape(2, 4)
    return [counts, np.array([counts.sum() + 8 * int(flag[0])], np.float32)]
