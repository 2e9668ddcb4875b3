"""Every kernel family on every layer that it can run, and every type of element: numbers, and one instruction count."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import promises
import pytest
import test_ops
from kernel_cases import typed_cases
from test_ops import Case

from bnn2c.ir import TensorType
from bnn2c.ir.graph import outputs
from bnn2c.ir.window import Window
from bnn2c.kernels.binary import FAMILIES, PLANE_FAMILIES
from bnn2c.memory import plan_memory
from bnn2c.ops.best_channel import BestChannel
from bnn2c.ops.binary_conv2d import BinaryConv2d, random_layer
from bnn2c.targets import load_target
from bnn2c.toolchain import ToolchainMissing, require_tools, run_on_target

ANY = ("avx2", "avx512", "mve", "neon", "popcnt", "zbb")  # every family has a form in portable C
TARGETS: list[tuple[str, Sequence[str], int]] = [
    ("cortex-m4", ANY, 1),
    ("cortex-m55", ("dsp", "mve"), 4),
    ("aarch64", ("neon",), 4),
    ("x86_64_avx2", ("avx2", "popcnt"), 8),
]
# Layers for the kernels that are chosen by the number of weights, of channels, or by the stride.
LARGER = {
    "channel_steps": [((2, 5, taps), 9, Window((1, 1))) for taps in (100, 180, 300, 500, 700)],
    "class_sharing": [((2, 5, taps), 9, Window((1, 1))) for taps in (100, 300, 600, 1100, 2100)]
    + [((7, 8, 5), 6, Window((3, 3), (2, 2), pads=(1, 1, 1, 1)))],
    "popcount_lanes": [((1, 3, 40), 32 * words, Window((1, 1))) for words in range(3, 10)],
    "popcount_rows": [((4, 5, 64), 40, Window((3, 3), pads=(1, 1, 1, 1)))],
}
# Functions of the same headers that neither these cases nor those of the operations call, and why.
ELSEWHERE = (
    r"\w+_at|channel_steps_\w+_(begin|words)",  # a pixel or a word at a time: pools and streams
    r"(binary_conv2d|binary_mat_mul|depthwise_lanes|level_sum(_add)?|popcount_rows|sliced_\w+)_i32",  # beyond 16 bits
    r"rearrange_table32_\w+",  # more than 65,536 elements
    r"embedding_(\w+_f32|id)|(abs|bit_and|bit_or|bit_xor|floor|mod|sign|trunc)f|bits_of|sign_of|of_bits",  # reals
    r"(conv2d|dot4)_two|gather_runs|integer_conv2d_bits_i8|run_steps_far8|channel_steps_far8_bits",  # other sizes
)
MAIN = """
#include "cases.h"
#include <stdlib.h>
static cases_input_t in;
static cases_output_t out;
int main(void) {
  uint32_t state = 1u;
  for (size_t i = 0u; i < sizeof in; i++) {
    state = state * 1664525u + 1013904223u;
    ((unsigned char *)&in)[i] = (unsigned char)(state >> 26);
  }
  return (int)cases_run(&in, &out, malloc(CASES_ARENA_BYTES));
}
"""
SUMS = ("sliced_channels", "popcount_rows")  # whose sums are compared as they are counted


def of_family(name: str, isa: Sequence[str], lane_words: int) -> list[Case]:
    """The layers of `BinaryConv2d.CASES` and `LARGER` that the family runs, in the layout of its input."""
    found: list[Case] = []
    if name == "sliced_planes" and lane_words > 1:  # written for vectors of one word
        return []
    larger = [random_layer((1, 1), *layer, levels=1) for layer in LARGER.get(name, [])]
    for op, (kind,) in (*BinaryConv2d.CASES, *larger):
        assert isinstance(op, BinaryConv2d)
        conv = replace(op, family=name, lane_words=lane_words)
        laid = TensorType(kind.shape, "bits", kind.planes, "planes" if name in PLANE_FAMILIES else "pixels")
        coded = conv.thresholds is not None or name not in PLANE_FAMILIES | {"popcount_lanes", "table_rows"}
        if coded and FAMILIES[name].refuses(conv, laid, isa) is None:
            found.append((conv, (laid,)))
    return found


def cases(isa: Sequence[str], lane_words: int) -> list[Case]:
    """Those of all families, the winners among the sums of two of them, and all types of elements."""
    found = [*typed_cases(), *(case for name in FAMILIES for case in of_family(name, isa, lane_words))]
    for op, kinds in BestChannel.CASES:
        assert isinstance(op, BestChannel)
        kernels = [replace(op.conv, family=name, lane_words=lane_words) for name in SUMS]
        found += [(replace(op, conv=conv), kinds) for conv in kernels]
    return found


def test_every_family_runs_some_layer() -> None:
    assert [name for name in FAMILIES if not any(of_family(name, isa, lanes) for _, isa, lanes in TARGETS)] == []


@pytest.mark.cross
@pytest.mark.parametrize(
    ("target", "isa", "lane_words"),
    [pytest.param(*one, marks=pytest.mark.slow if one[0] in ("aarch64", "x86_64_avx2") else ()) for one in TARGETS],
)
def test_every_family_computes_its_layers_in_the_same_time_for_every_input(
    target: str, isa: Sequence[str], lane_words: int, tmp_path: Path
) -> None:
    device = load_target(target)
    try:
        require_tools(device)
    except ToolchainMissing as error:
        pytest.skip(str(error))
    layers, rng = cases(isa, lane_words), np.random.default_rng(14)
    graph = test_ops.graph_of(layers)
    feeds = [test_ops.feeds_of(layers, rng) for _ in range(4)]
    feeds += [[np.zeros_like(x) for x in feeds[0]], [np.full_like(x, x.max()) for x in feeds[0]]]
    files, manifest = test_ops.generate(graph, target)
    run = run_on_target(files, manifest, device, feeds, tmp_path, timeout=120)
    for found, given in zip(run.outputs, feeds, strict=True):
        test_ops.assert_equal(found, outputs(graph, given), layers)
    assert run.guards_intact and run.stack_bytes <= manifest["stack_bytes"]
    layers_run = zip(manifest["layers"], run.constant_layers, strict=True)
    steady = {f"out{number}" for number, case in enumerate(layers) if not test_ops.decides(*case)}
    varying = {layer["name"]: layer["kernel"] for layer, constant in layers_run if not constant}
    assert {name: kernel for name, kernel in varying.items() if name in steady} == {}


def test_every_family_and_type_stays_within_its_operands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AddressSanitizer, as for the operations' own cases in test_contract.py."""
    promises.keep_apart(monkeypatch)
    graph = test_ops.graph_of(cases(ANY, 1))
    files, manifest = test_ops.generate(graph)
    assert promises.within_operands(files, manifest, graph, plan_memory(graph), tmp_path) == []


def never_called(folder: Path) -> set[str]:
    """Functions of the runtime that the program of all sources of a folder holds and does not call, by gcov."""
    kept = ["-std=c99", "-O0", "--coverage", "-fkeep-static-functions", "-fkeep-inline-functions"]
    sources = [path.name for path in sorted(folder.glob("*.c"))]
    subprocess.run(["gcc", *kept, *sources, "-o", "run", "-lm"], cwd=folder, check=True, timeout=300)
    subprocess.run(["./run"], cwd=folder, check=True, timeout=60)
    command = ["gcov", "--json-format", "--stdout", "run-cases.gcda"]
    said = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout
    files = [one for line in said.splitlines() for one in json.loads(line)["files"] if one["file"].startswith("bnn2c")]
    functions = [function for one in files for function in one["functions"]]
    assert len(functions) > 300
    return {one["name"].removeprefix("bnn2c_") for one in functions if not one["execution_count"]}


@pytest.mark.skipif(not promises.have("gcc", "gcov"), reason="needs gcc and gcov")
def test_every_function_of_the_kernels_is_called_by_a_case(tmp_path: Path) -> None:
    """What no case calls is checked on no target: a new kernel, or type of element, needs one."""
    own = [case for found in test_ops.OPS.values() for case in found]
    files, _ = test_ops.generate(test_ops.graph_of([*own, *cases(ANY, 1)]))
    promises.write(tmp_path, {**files, "main.c": MAIN})
    missing = {name for name in never_called(tmp_path) if not any(re.fullmatch(one, name) for one in ELSEWHERE)}
    assert missing == set()
