"""Every runtime header compiles alone and with all others, has no variables and needs no library but for logarithms."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from harness import RUNTIME
from strict import WARNINGS

COMPILERS = ["gcc -O2", "clang -O2", "arm-none-eabi-gcc -Os -mcpu=cortex-m0", "arm-none-eabi-gcc -O2 -mcpu=cortex-m4"]
HEADERS = sorted(path.name for path in RUNTIME.glob("bnn2c*.h"))
AVX512 = "-mpopcnt -mavx2 -mavx512f -mavx512bw -mavx512vl -mavx512vpopcntdq"
# What the kernels of each instruction set are compiled with; gcc's immintrin.h has functions that call malloc.
BUILDS = {
    "portable": "gcc",
    "avx2": "gcc -mpopcnt -mavx2 -DBNN2C_LANE_WORDS=8 -D_MM_MALLOC_H_INCLUDED",
    "avx512": f"gcc {AVX512} -DBNN2C_LANE_WORDS=8 -D_MM_MALLOC_H_INCLUDED",
    "dsp": "arm-none-eabi-gcc -mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard",
    "mve": "arm-none-eabi-gcc -mcpu=cortex-m55 -mfloat-abi=hard -DBNN2C_LANE_WORDS=4",
    "neon": "aarch64-linux-gnu-gcc -DBNN2C_LANE_WORDS=4",
}
LIBM = {"logf", "log1pf"}
GCC_ITSELF = {"__popcountsi2", "__popcountdi2", "memcpy"}  # bits without an instruction, and copies of structs at -O0


@pytest.mark.cross
@pytest.mark.parametrize("compiler", COMPILERS)
def test_headers_compile_alone(compiler: str) -> None:
    command, *flags = compiler.split()
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not installed")
    for header in HEADERS:
        arguments = [command, *flags, *WARNINGS, f"-I{RUNTIME}", "-x", "c", "-S", "-o", "-", "-"]
        text = f'#include "{header}"\ntypedef int bnn2c_not_empty;\n'
        run = subprocess.run(arguments, input=text, capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 0, f"{header}: {run.stderr}"


@pytest.mark.cross
@pytest.mark.parametrize("build", BUILDS)
def test_all_headers_together_have_no_variables_and_call_nothing(build: str, tmp_path: Path) -> None:
    """In one file, as a network may use any of them; with the functions that this file does not call."""
    command, *flags = BUILDS[build].split()
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not installed")
    # The kernels for several planes are written for vectors of one word, and chosen for no others.
    used = [name for name in HEADERS if "LANE_WORDS" not in BUILDS[build] or name != "bnn2c_sliced_planes.h"]
    text, made = "".join(f'#include "{name}"\n' for name in used), str(tmp_path / "all.o")
    kept = ["-std=c99", "-O0", "-ffreestanding", "-fno-pic", "-fkeep-static-functions", "-fkeep-inline-functions"]
    arguments = [command, *flags, *kept, f"-I{RUNTIME}", "-x", "c", "-c", "-o", made, "-"]
    run = subprocess.run(arguments, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    listing = subprocess.run(["nm", made], capture_output=True, text=True, check=True).stdout
    symbols = [(words[-2], words[-1]) for words in map(str.split, listing.splitlines())]
    assert sum(kind == "t" for kind, _ in symbols) > 300
    assert {name for kind, name in symbols if kind == "U"} <= LIBM | GCC_ITSELF
    assert [name for kind, name in symbols if kind not in "UrRtn" and not name.startswith("$")] == []
