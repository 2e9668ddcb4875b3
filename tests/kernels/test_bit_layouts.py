"""nhwc_bits <-> planes against numpy, with sanitizers."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import numpy as np
import pytest
from kernel_harness import RUNTIME, SANITIZED, c_array

from bnn2c.kernels.class_sharing import to_planes
from bnn2c.kernels.shape import lanes

SIZES = [*itertools.product([1, 31, 32, 33, 70], repeat=2), (256, 64), (64, 256), (196, 48), (400, 96), (320, 300)]


def _check(pixels: int, channels: int, index: int) -> str:
    """C code that converts random bits both ways and returns from main on a difference."""
    bits = np.random.default_rng(index).integers(0, 2, (pixels, 1, channels), dtype=np.uint8)
    nhwc, planes = lanes(bits), to_planes(bits)
    return (
        "{ " + c_array("n", nhwc) + c_array("p", planes) + f"uint32_t to[{planes.size}], back[{nhwc.size}];\n"
        f"bnn2c_nhwc_to_planes(n, {pixels}u, {channels}u, to); bnn2c_planes_to_nhwc(p, {pixels}u, {channels}u, back);\n"
        f"if (memcmp(to, p, sizeof to) || memcmp(back, n, sizeof back)) {{ return {index + 1}; }} }}\n"
    )


@pytest.mark.parametrize("lane_words", [1, 4, 8])
def test_conversions(tmp_path: Path, lane_words: int) -> None:
    """Both directions, sizes around word boundaries, blocks alone and in vectors."""
    body = "".join(_check(pixels, channels, i) for i, (pixels, channels) in enumerate(SIZES))
    include = f'#define BNN2C_LANE_WORDS {lane_words}\n#include "bnn2c_bit_layouts.h"\n#include <string.h>\n'
    text = f"{include}int main(void) {{\n{body}return 0;\n}}\n"
    (tmp_path / "layouts.c").write_text(text)
    program = str(tmp_path / "layouts")
    subprocess.run([*SANITIZED, f"-I{RUNTIME}", str(tmp_path / "layouts.c"), "-o", program], check=True, timeout=120)
    assert subprocess.run([program], check=False, timeout=60).returncode == 0
