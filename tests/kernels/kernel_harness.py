"""Builds one C program from many kernel cases, runs it under AddressSanitizer and UBSan, and compares with numpy."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from strict import SANITIZE

from bnn2c.kernels.shape import ConvShape, lanes

Array = npt.NDArray[Any]
RUNTIME = Path(__file__).resolve().parents[2] / "runtime_c"
SANITIZED = ("gcc", "-std=c99", "-O1", *SANITIZE["gcc"], "-Werror", "-Wno-psabi")
C_TYPES = {"uint8": "uint8_t", "uint16": "uint16_t", "uint32": "uint32_t", "int16": "int16_t", "int32": "int32_t"}
C_TYPES["int8"] = "int8_t"


@dataclass(frozen=True)
class Case:
    """One layer with random weights and input; result "bits", "i16" or "i32"; `opposite`: only mismatches."""

    shape: ConvShape
    result: str = "bits"
    seed: int = 0
    opposite: bool = False


Pair = tuple[int, int]


def conv(size: Pair, channels: Pair, kernel: Pair = (3, 3), **options: Any) -> ConvShape:
    """A convolution with options stride, dilation (pairs) and pad (top, left, bottom, right)."""
    (sh, sw), (dh, dw) = options.get("stride", (1, 1)), options.get("dilation", (1, 1))
    top, left, bottom, right = options.get("pad", (0, 0, 0, 0))
    out_h = (size[0] + top + bottom - dh * (kernel[0] - 1) - 1) // sh + 1
    out_w = (size[1] + left + right - dw * (kernel[1] - 1) - 1) // sw + 1
    return ConvShape(*size, channels[0], out_h, out_w, channels[1], *kernel, sh, sw, top, left, dh, dw)


def mismatches(shape: ConvShape, weights: Array, bits: Array) -> Array:
    """Reference, int32 [out_h, out_w, out_c]: sum over taps of (input bit XOR weight bit), 0 outside the input."""
    result = np.zeros((shape.out_h, shape.out_w, shape.out_c), np.int32)
    for y, x in np.ndindex(shape.out_h, shape.out_w):
        for ky, kx in np.ndindex(shape.kernel_h, shape.kernel_w):
            iy = y * shape.stride_h + ky * shape.dilation_h - shape.pad_top
            ix = x * shape.stride_w + kx * shape.dilation_w - shape.pad_left
            inside = 0 <= iy < shape.in_h and 0 <= ix < shape.in_w
            pixel = bits[iy, ix] if inside else np.zeros(shape.in_c, np.uint8)
            result[y, x] += (pixel[None] ^ weights[:, ky, kx]).sum(-1, dtype=np.int32)
    return result


def random_thresholds(shape: ConvShape, rng: np.random.Generator) -> Array:
    """Thresholds int32 [classes, out_c] around the middle, with -1, 0, n-1, n and n+1 among them."""
    classes = (int(shape.row_classes().max()) + 1) * (int(shape.col_classes().max()) + 1)
    near = shape.taps // 2 + rng.integers(-4, 5, (classes, shape.out_c))
    edge = rng.choice([-1, 0, shape.taps - 1, shape.taps, shape.taps + 1], near.shape)
    return np.where(rng.random(near.shape) < 0.3, edge, near).clip(-1, None).astype(np.int32)


def c_array(name: str, values: Array) -> str:
    """A static const array definition."""
    body = ",".join(map(str, values.ravel().tolist()))
    return f"static const {C_TYPES[str(values.dtype)]} {name}[{values.size}] = {{{body}}};\n"


def case_source(family: ModuleType, case: Case, index: int, lane_words: int, layout: tuple[bool, ...] = ()) -> str:
    """The constants of a case and its function `int case_<index>(void)`, 0 when the result is right."""
    shape, rng = case.shape, np.random.default_rng(case.seed)
    weights = rng.integers(0, 2, (shape.out_c, shape.kernel_h, shape.kernel_w, shape.in_c), dtype=np.uint8)
    bits = rng.integers(0, 2, (shape.in_h, shape.in_w, shape.in_c), dtype=np.uint8)
    if case.opposite:
        weights[:], bits[:] = 1, 0
    thresholds = random_thresholds(shape, rng) if case.result == "bits" else None
    counts = mismatches(shape, weights, bits)
    expected = counts.astype("int16" if case.result == "i16" else "int32")
    if thresholds is not None:
        classes = shape.row_classes()[:, None].astype(int) * (int(shape.col_classes().max()) + 1) + shape.col_classes()
        expected = _layout(family.OUT_LAYOUT, family, (counts > thresholds[classes]).astype(np.uint8))
    layer = family.layer(shape, weights, thresholds, lane_words, *layout)
    names = {key: f"{key}_{index}" for key in layer.arrays}
    c_type = C_TYPES[str(expected.dtype)]
    struct = layer.initializer(names)
    call = layer.call("&params", f"input_{index}", "scratch", "out", case.result)
    return "".join(
        [
            *(c_array(names[key], values) for key, values in layer.arrays.items()),
            c_array(f"input_{index}", _layout(family.IN_LAYOUT, family, bits)),
            c_array(f"expected_{index}", expected),
            f"static int case_{index}(void) {{\n  static {c_type} out[{expected.size}];\n",
            f"  static uint32_t scratch[{layer.scratch_words}];\n",
            f"  static const {family.STRUCT} params = {struct};\n",
            f"  memset(out, 0x55, sizeof out);\n  {call}\n",
            f"  return memcmp(out, expected_{index}, sizeof out) != 0;\n}}\n",
        ]
    )


def _layout(layout: str, family: ModuleType, bits: Array) -> Array:
    """Bits [h, w, c] in the family's layout."""
    packed: Array = lanes(bits) if layout == "nhwc_bits" else family.to_planes(bits)
    return packed


def run_cases(
    family: ModuleType,
    cases: list[Case],
    folder: Path,
    command: tuple[str, ...] = SANITIZED,
    lane_words: int = 1,
    emulator: tuple[str, ...] = (),
    diagonal: bool = False,
) -> list[Case]:
    """Compiles and runs all cases in one program; returns those with a wrong result."""
    text = f"#define BNN2C_LANE_WORDS {lane_words}\n#define BNN2C_DIAGONALS {int(diagonal)}\n"
    layout = (True,) if diagonal else ()
    text += f'#include "{family.HEADER}"\n#include <stdio.h>\n#include <string.h>\n'
    text += "".join(case_source(family, case, i, lane_words, layout) for i, case in enumerate(cases))
    text += "int main(void) {\n" + "".join(f'  if (case_{i}()) printf("{i}\\n");\n' for i in range(len(cases)))
    (folder / "cases.c").write_text(text + "  return 0;\n}\n")
    program = str(folder / "cases")
    subprocess.run([*command, f"-I{RUNTIME}", str(folder / "cases.c"), "-o", program], check=True, timeout=300)
    output = subprocess.run([*emulator, program], check=True, capture_output=True, text=True, timeout=300).stdout
    return [cases[int(line)] for line in output.split()]
