"""Convolutions that pool as they go against numpy: every family, ring sizes, dropped rows, masks, vectors, strides."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_harness import RUNTIME, SANITIZED, c_array

from bnn2c.ir.types import TensorType
from bnn2c.ir.window import Window
from bnn2c.kernels.binary import PLANE_FAMILIES, choose
from bnn2c.kernels.class_sharing import to_planes
from bnn2c.ops.binary_conv2d import random_layer
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.pooled_conv2d import PooledConv2d
from bnn2c.targets import load_target
from bnn2c.toolchain import ToolchainMissing, require_tools, run_on_target

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import models  # noqa: E402

PAIRS = Window((2, 2), (2, 2))
Case = tuple[PooledConv2d, TensorType]
SIZES = [(2, 2), (4, 5), (7, 9), (5, 16), (6, 17), (9, 28), (4, 33), (5, 64), (3, 70), (20, 3), (33, 2)]


def case(size: tuple[int, int], channels: tuple[int, int], window: Window, family: str, masked: bool) -> Case:
    """A pooled layer; every third channel takes the larger code when `masked`."""
    op, kinds = random_layer((1, 1), (*size, channels[0]), channels[1], window, levels=1, family=family)
    mask = (np.arange(channels[1]) % 3 == 0) & masked
    return PooledConv2d(op, MaxPool(PAIRS, mask)), kinds[0]


def source_of(found: Case, index: int, rng: np.random.Generator) -> str:
    """The constants of a case and its function `int case_<index>(void)`, 0 when the result is right."""
    op, kind = found
    codes = rng.integers(0, 2, kind.shape).astype(np.uint8)
    expected = to_planes(op.reference(codes))
    arrays, params, kernel = op.constants([kind]), op.params([kind]), choose(op.conv, kind)
    names = {key: f"{key}_{index}" for key in arrays}
    conv = {key.removeprefix("conv_"): name for key, name in names.items() if key.startswith("conv_")}
    height, width, channels = op.infer([kind]).shape
    pool = f"{{{channels}u, {op.conv.infer([kind]).shape[1]}u, {height}u, {width}u, {params['pitch']}u, "
    pool += f"{names.get('pool_mask', 'NULL')}}}"
    return "".join(
        [
            *(c_array(names[key], values) for key, values in arrays.items()),
            c_array(f"input_{index}", to_planes(codes)),
            c_array(f"expected_{index}", expected),
            f"static int case_{index}(void) {{\n  static uint32_t out[{expected.size}];\n",
            f"  static uint32_t scratch[{op.scratch_bytes([kind]) // 4}];\n",
            f"  static const {kernel.struct} params = {kernel.initializer(conv)};\n",
            f"  static const bnn2c_pooled_planes pool = {pool};\n",
            "  memset(out, 0x55, sizeof out);\n  memset(scratch, 0x55, sizeof scratch);\n",
            f"  pooled_{kernel.function}(&params, &pool, input_{index}, scratch, out);\n",
            f"  return memcmp(out, expected_{index}, sizeof out) != 0;\n}}\n",
        ]
    )


def wrong(cases: list[Case], lane_words: int, folder: Path) -> list[Case]:
    """Compiles and runs all cases in one program; those with another result than the reference."""
    cases = [(replace(op, conv=replace(op.conv, lane_words=lane_words)), kind) for op, kind in cases]
    rng = np.random.default_rng(lane_words)
    text = f"#define BNN2C_LANE_WORDS {lane_words}\n"
    headers = ["class_sharing", "class_groups", "channel_steps", "pooled_planes"]
    headers += ["few_pixels"] if lane_words == 1 else []
    text += "".join(f'#include "bnn2c_{name}.h"\n' for name in headers)
    text += "#include <stdio.h>\n#include <string.h>\n"
    kernels = sorted({(kernel.struct, kernel.function) for kernel in (choose(op.conv, kind) for op, kind in cases)})
    text += "".join(f"BNN2C_POOLED_PLANES(pooled_{name}, {struct}, {name})\n" for struct, name in kernels)
    text += "".join(source_of(found, i, rng) for i, found in enumerate(cases))
    text += "int main(void) {\n" + "".join(f'  if (case_{i}()) printf("{i}\\n");\n' for i in range(len(cases)))
    (folder / "cases.c").write_text(text + "  return 0;\n}\n")
    program = str(folder / "cases")
    subprocess.run([*SANITIZED, f"-I{RUNTIME}", str(folder / "cases.c"), "-o", program], check=True, timeout=300)
    output = subprocess.run([program], check=True, capture_output=True, text=True, timeout=300).stdout
    return [cases[int(line)] for line in output.split()]


def families_of(lane_words: int) -> list[str]:
    """Those for vectors of so many words."""
    return sorted(PLANE_FAMILIES - ({"few_pixels"} if lane_words > 1 else set()))


def grid(lane_words: int) -> list[Case]:
    """Sizes of maps, with and without masks, families in turn; strides and padding among them."""
    families = families_of(lane_words)
    windows = [Window((1, 1)), Window((3, 3), pads=(1, 1, 1, 1)), Window((2, 2), (2, 1), pads=(0, 1, 1, 0))]
    found = []
    for number, size in enumerate(SIZES):
        for turn in range(3):
            family = families[(number + turn) % len(families)]
            window = windows[0] if family == "channel_steps" else windows[turn]
            if min(window.output(*size)) > 1:
                found.append(case(size, (5, 6 + 5 * turn), window, family, turn != 1))
    return found


@pytest.mark.parametrize("lane_words", [1, 2, 4, pytest.param(8, marks=pytest.mark.slow)])
def test_planes_equal_reference(lane_words: int, tmp_path: Path) -> None:
    """Every word of the pooled planes; no sanitizer finding, no word beyond the scratch."""
    cases = grid(lane_words)
    assert {op.conv.family for op, _ in cases} == set(families_of(lane_words))
    assert wrong(cases, lane_words, tmp_path) == []


@st.composite
def layers(draw: st.DrawFn) -> Case:
    """Any size, channels, family of all vectors, mask."""
    family = draw(st.sampled_from(families_of(4)))
    window = Window((1, 1)) if family == "channel_steps" else Window((3, 3), pads=(1, 1, 1, 1))
    size = draw(st.tuples(st.integers(2, 40), st.integers(2, 70)))
    channels = draw(st.tuples(st.integers(1, 34), st.integers(1, 40)))
    return case(size, channels, window, family, draw(st.booleans()))


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(layers(), min_size=4, max_size=8), st.sampled_from([1, 4]))
def test_any_map(tmp_path_factory: pytest.TempPathFactory, cases: list[Case], lane_words: int) -> None:
    """Random layers, many in one program."""
    assert wrong(cases, lane_words, tmp_path_factory.mktemp("any")) == []


def test_the_ring_holds_two_rows() -> None:
    """A map of 28 x 28 keeps 4 words of each channel instead of 25, one of 16 x 16 one word instead of 8."""
    for size, pitch in ((28, 4), (16, 1)):
        op, kind = case((size, size), (8, 12), Window((3, 3), pads=(1, 1, 1, 1)), "class_sharing", False)
        assert op.params([kind])["pitch"] == pitch
        assert op.scratch_bytes([kind]) == 4 * 12 * pitch + op.conv.scratch_bytes([kind])


@pytest.mark.cross
@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m55", "cortex-a7"])
def test_a_network_with_pools_on_targets(name: str, tmp_path: Path) -> None:
    """Pools before the normalisation: OR in channels of negative gamma. Of 11 pixels a row and a column are dropped."""
    target, rng = load_target(name), np.random.default_rng(4)
    try:
        require_tools(target)
    except ToolchainMissing as error:
        pytest.skip(str(error))
    model = models.cnn(5, size=22, channels=(8, 36, 40))
    found = models.compiled(model, target=name, optimize="speed")
    assert [node.op.kind for node in found.final.nodes].count("pooled_conv2d") == 2
    feeds = [[rng.random((1, 8, 22, 22), np.float32)] for _ in range(2)]
    run = run_on_target(found.files, found.manifest, target, feeds, tmp_path, timeout=120)
    for outputs, given_ in zip(run.outputs, feeds, strict=True):
        np.testing.assert_array_equal(np.ravel(outputs[0]), np.ravel(found.reference(given_)[0]))
        expected = models.ort_run(model, given_)[0]
        np.testing.assert_allclose(np.ravel(outputs[0]), np.ravel(expected), rtol=1e-5, atol=1e-4)
    assert run.guards_intact
