"""Vertical counters to integers against numpy, with sanitizers: every digit, up to the 24th, counts in its own lane."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from kernel_harness import RUNTIME, SANITIZED, c_array

SIZES = [
    *((planes, 1, channels, 32) for planes in (16, 17, 23, 24) for channels in (1, 9, 31, 32)),
    *((planes, 3, channels, 16) for planes in (1, 8, 9, 15) for channels in (1, 8, 17, 32)),
]


def _check(planes: int, stride: int, channels: int, width: int, index: int) -> str:
    """C code that stores random counters of int16 or int32 and returns from main on a difference."""
    counts = np.random.default_rng(index).integers(0, 1 << planes, channels)
    digits = np.zeros((planes, stride), np.uint32)
    digits[:, 0] = ((counts >> np.arange(planes)[:, None] & 1) << np.arange(channels)).sum(axis=1)
    expected = counts.astype(f"int{width}")
    return (
        "{ " + c_array("d", digits) + c_array("e", expected) + f"int{width}_t found[{channels}];\n"
        f"bnn2c_channel_output to = BNN2C_TO_i{width}(found);\n"
        f"bnn2c_store_counts(&to, d, {stride}u, {planes}u, {channels}u);\n"
        f"if (memcmp(found, e, sizeof e) || to.i{width} != found + {channels}) {{ return {index + 1}; }} }}\n"
    )


def test_counts_of_up_to_24_digits(tmp_path: Path) -> None:
    """Sums of more than 65,535 inputs need the digits from the 17th on, which no small layer has."""
    body = "".join(_check(*sizes, i) for i, sizes in enumerate(SIZES))
    text = f'#include "bnn2c_lane_counts.h"\n#include <string.h>\nint main(void) {{\n{body}return 0;\n}}\n'
    (tmp_path / "counts.c").write_text(text)
    program = str(tmp_path / "counts")
    subprocess.run([*SANITIZED, f"-I{RUNTIME}", str(tmp_path / "counts.c"), "-o", program], check=True, timeout=120)
    assert subprocess.run([program], check=False, timeout=60).returncode == 0
