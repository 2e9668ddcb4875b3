"""`--selftest`: the generated known-answer test passes on right answers and counts wrong ones."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bnn2c.errors import CompileError
from bnn2c.options import Options
from bnn2c.pipeline import Compiled, compile_model
from bnn2c.selftest import MAX_SAMPLES
from bnn2c.toolchain import ToolchainMissing, build_shared

DIGITS = Path(__file__).resolve().parent.parent / "examples" / "digits"
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wdouble-promotion", "-Werror"]


def compiled_with(vectors: Path) -> Compiled:
    return compile_model(DIGITS / "digits_mlp.onnx", Options(name="kws", input_scale=1 / 255, selftest=vectors))


def wrong_answers(compiled: Compiled, folder: Path) -> int:
    try:
        path = build_shared(compiled.files, compiled.manifest, folder, cflags=FLAGS).path
    except ToolchainMissing as error:
        pytest.skip(str(error))
    out = (ctypes.c_uint8 * compiled.manifest["outputs"][0]["bytes"])()
    arena = (ctypes.c_uint64 * (compiled.manifest["arena_bytes"] // 8 + 1))()
    return int(ctypes.CDLL(str(path)).kws_selftest(out, arena))


def test_right_answers_pass(tmp_path: Path) -> None:
    compiled = compiled_with(DIGITS / "digits_test.npz")
    assert {"kws_selftest.c", "kws_selftest.h"} <= compiled.files.keys() & compiled.manifest["files"].keys()
    assert f"KWS_SELFTEST_COUNT {MAX_SAMPLES}u" in compiled.files["kws_selftest.h"]
    assert wrong_answers(compiled, tmp_path) == 0


@pytest.mark.parametrize("place", [(1, 4), (0, 0), (2, 9)])
def test_wrong_answers_are_counted(place: tuple[int, int], tmp_path: Path) -> None:
    """In the first and in the last sample, the first and the last number of it, too."""
    pixels = np.load(DIGITS / "digits_test.npz")["input"][:3]
    plain = compile_model(DIGITS / "digits_mlp.onnx", Options(input_scale=1 / 255))
    answers = np.stack([plain.reference([one])[0].reshape(-1) for one in pixels])
    answers[place] += 0.01 * np.ptp(answers)
    np.savez(tmp_path / "v.npz", input=pixels, output=answers)
    assert wrong_answers(compiled_with(tmp_path / "v.npz"), tmp_path / "build") == 1


def test_vectors_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", input=np.zeros((2, 5), np.uint8))
    with pytest.raises(CompileError, match="BNN022"):
        compiled_with(tmp_path / "v.npz")


def test_header_compiles_as_cpp(tmp_path: Path) -> None:
    for name, text in compiled_with(DIGITS / "digits_test.npz").files.items():
        (tmp_path / name).write_text(text)
    main = "int main() { return kws_selftest(nullptr, nullptr) == 8u; }"
    (tmp_path / "use.cpp").write_text(f'#include "kws_selftest.h"\n{main}\n')
    command = ["g++", "-c", str(tmp_path / "use.cpp"), "-o", str(tmp_path / "use.o")]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        pytest.skip("no g++")
    wanted = subprocess.run(["nm", "-u", str(tmp_path / "use.o")], capture_output=True, text=True, check=True).stdout
    assert "kws_selftest" in wanted.split()  # the name of C, that C++ did not change
