"""Every runtime header compiles alone, without a warning, for every compiler that is there."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from harness import RUNTIME, WARNINGS

COMPILERS = ["gcc -O2", "clang -O2", "arm-none-eabi-gcc -Os -mcpu=cortex-m0", "arm-none-eabi-gcc -O2 -mcpu=cortex-m4"]


@pytest.mark.cross
@pytest.mark.parametrize("compiler", COMPILERS)
def test_headers_compile_alone(compiler: str) -> None:
    command, *flags = compiler.split()
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not installed")
    for header in sorted(RUNTIME.glob("bnn2c*.h")):
        arguments = [command, *flags, *WARNINGS, f"-I{RUNTIME}", "-x", "c", "-S", "-o", "-", "-"]
        text = f'#include "{header.name}"\ntypedef int bnn2c_not_empty;\n'
        run = subprocess.run(arguments, input=text, capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 0, f"{header.name}: {run.stderr}"
