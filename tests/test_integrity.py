"""`--integrity`: intact weights pass, any flipped bit is found; on the host and under QEMU."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bnn2c.options import Options
from bnn2c.pipeline import Compiled, compile_model
from bnn2c.toolchain import ToolchainMissing, build_shared

ROOT = Path(__file__).resolve().parent.parent
DIGITS = ROOT / "examples" / "digits"
OK, DAMAGED = 0, 4
CHECK = '#include "kws_check.h"\nint main(void) { return (int)kws_check(); }\n'


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    vectors = DIGITS / "digits_test.npz"
    return compile_model(
        DIGITS / "digits_mlp.onnx", Options(name="kws", input_scale=1 / 255, integrity=True, selftest=vectors)
    )


def flipped(files: dict[str, str], bit: int) -> dict[str, str]:
    """The files with one bit of one 32-bit weight flipped; the expected CRC is what it was."""
    source = files["kws_weights.c"]
    words = list(re.finditer(r"0x([0-9A-F]{8})u", source))
    word = words[(7919 * bit) % len(words)]
    changed = f"0x{int(word[1], 16) ^ (1 << (bit % 32)):08X}u"
    return {**files, "kws_weights.c": source[: word.start()] + changed + source[word.end() :]}


def status(files: dict[str, str], compiled: Compiled, folder: Path, *flags: str) -> int:
    try:
        path = build_shared(
            files, compiled.manifest, folder, cflags=["-Wall", "-Wextra", "-Wconversion", "-Werror", *flags]
        ).path
    except ToolchainMissing as error:
        pytest.skip(str(error))
    return int(ctypes.CDLL(str(path)).kws_check())


def test_check_is_opt_in_and_in_the_manifest(compiled: Compiled) -> None:
    assert {"kws_check.c", "kws_check.h", "bnn2c_crc32.h"} <= compiled.files.keys() & compiled.manifest["files"].keys()
    plain = compile_model(DIGITS / "digits_mlp.onnx", Options(name="kws", input_scale=1 / 255))
    assert not {name for name in plain.files if "check" in name or "crc" in name}


def test_intact_weights_pass(compiled: Compiled, tmp_path: Path) -> None:
    assert status(compiled.files, compiled, tmp_path) == OK
    assert status(compiled.files, compiled, tmp_path / "lto", "-flto", "-O3") == OK


@pytest.mark.parametrize("bit", [0, 13, 31, 77])
def test_a_flipped_bit_is_found(compiled: Compiled, tmp_path: Path, bit: int) -> None:
    assert status(flipped(compiled.files, bit), compiled, tmp_path) == DAMAGED


MAIN = """
#include "kws_check.h"
#include "kws_selftest.h"
#include <stdio.h>
static kws_output_t out;
static uint64_t arena[KWS_ARENA_BYTES / 8u + 1u];
int main(void) {
  printf("%d %u\\n", (int)kws_check(), (unsigned)kws_selftest(&out, arena));
  return 0;
}
"""
CROSS = [
    ("arm-linux-gnueabihf-gcc", "qemu-arm", "/usr/arm-linux-gnueabihf"),
    ("aarch64-linux-gnu-gcc", "qemu-aarch64", "/usr/aarch64-linux-gnu"),
    ("powerpc-linux-gnu-gcc", "qemu-ppc", "/usr/powerpc-linux-gnu"),  # big-endian
]


@pytest.mark.cross
@pytest.mark.parametrize(("compiler", "emulator", "root"), CROSS, ids=["arm", "aarch64", "powerpc"])
def test_check_and_selftest_under_qemu(
    compiled: Compiled, tmp_path: Path, compiler: str, emulator: str, root: str
) -> None:
    if not shutil.which(compiler) or not shutil.which(emulator):
        pytest.skip(f"{compiler} or {emulator} is not installed")
    answers = []
    for number, files in enumerate((compiled.files, flipped(compiled.files, 5))):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, text in {**files, "main.c": MAIN}.items():
            (folder / name).write_text(text, "utf-8")
        sources = sorted(str(path) for path in folder.glob("*.c"))
        subprocess.run(
            [compiler, "-std=c99", "-O2", "-static", *sources, "-o", str(folder / "run"), "-lm"],
            check=True,
            timeout=120,
        )
        done = subprocess.run(
            [emulator, "-L", root, str(folder / "run")], capture_output=True, text=True, timeout=120, check=True
        )
        answers.append([int(word) for word in done.stdout.split()])
    assert answers[0] == [OK, 0]
    assert answers[1][0] == DAMAGED


def last_changed(source: str) -> Iterator[str]:
    """kws_weights.c with another number as the last element of one array, for every array."""
    for found in re.finditer(r"(\S+)\s*\};", source):
        other = "1.5f" if found[1].endswith("f") and "x" not in found[1] else f"{int(found[1].rstrip('u'), 0) ^ 1}"
        yield source[: found.start(1)] + other + source[found.end(1) :]


def test_the_last_element_of_every_array_counts(compiled: Compiled, tmp_path: Path) -> None:
    for name, text in {**compiled.files, "main.c": CHECK}.items():
        (tmp_path / name).write_text(text, "utf-8")
    for name in ("kws_check", "main"):
        made = ["-c", str(tmp_path / f"{name}.c"), "-o", str(tmp_path / f"{name}.o")]
        subprocess.run(["gcc", "-std=c99", *made], check=True, timeout=120)
    changed = list(last_changed(compiled.files["kws_weights.c"]))
    assert len(changed) == compiled.files["kws_check.c"].count("sizeof") > 4
    for source in changed:
        (tmp_path / "kws_weights.c").write_text(source, "utf-8")
        parts = [str(tmp_path / name) for name in ("kws_check.o", "kws_weights.c", "main.o")]
        subprocess.run(["gcc", "-std=c99", *parts, "-o", str(tmp_path / "run")], check=True, timeout=120)
        assert subprocess.run([str(tmp_path / "run")], check=False, timeout=60).returncode == DAMAGED


def test_the_header_of_the_check_is_cpp(compiled: Compiled, tmp_path: Path) -> None:
    for name, text in {**compiled.files, "main.cpp": CHECK}.items():
        (tmp_path / name).write_text(text, "utf-8")
    for name in ("kws_check", "kws_weights"):
        command = ["gcc", "-std=c99", "-c", str(tmp_path / f"{name}.c"), "-o", str(tmp_path / f"{name}.o")]
        subprocess.run(command, check=True, timeout=120)
    parts = [str(tmp_path / name) for name in ("main.cpp", "kws_check.o", "kws_weights.o")]
    subprocess.run(["g++", *parts, "-o", str(tmp_path / "run")], check=True, timeout=120)
    assert subprocess.run([str(tmp_path / "run")], check=False, timeout=60).returncode == OK
