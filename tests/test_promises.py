"""Every promise, broken on purpose in a scratch copy of the generated files, is found by its check."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import promises
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "fuzz"))

import seeds

from bnn2c.options import Options
from bnn2c.pipeline import Compiled, compile_model
from bnn2c.toolchain import ToolchainMissing

Files = dict[str, str]
DIGITS = Path(__file__).resolve().parent.parent / "examples" / "digits" / "digits_mlp.onnx"

pytestmark = pytest.mark.skipif(not promises.have("gcc", "nm"), reason="needs gcc and nm")


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile_model(seeds.mlp(), Options(name="kws"))


@pytest.fixture(scope="module")
def integer() -> Compiled:
    """uint8 in, no float before the last layer."""
    return compile_model(DIGITS, Options(name="kws", input_scale=1 / 255))


def changed(files: Files, name: str, pattern: str, new: str | Callable[[re.Match[str]], str]) -> Files:
    """A copy of the files with the first match in one of them replaced; there must be one."""
    text, count = re.subn(pattern, new, files[name], count=1, flags=re.S)
    assert count == 1, f"{pattern} is not in {name}"
    return {**files, name: text}


def in_run(files: Files, code: str) -> Files:
    """A statement at the begin of kws_run's first layer."""
    return changed(files, "kws.c", r"(  BNN2C_LAYER_BEGIN\(0\);\n)", lambda m: f"{m[1]}  {code}\n")


def at_top(files: Files, code: str) -> Files:
    """A declaration before the first function."""
    return changed(files, "kws.c", r'(#include "kws_weights.h"\n)', lambda m: f"{m[1]}{code}\n")


def test_all_promises_are_kept(compiled: Compiled, tmp_path: Path) -> None:
    files = compiled.files
    assert promises.same_function(files, compiled, tmp_path / "a") == []
    assert promises.within_arena(files, compiled.manifest, tmp_path / "b") == []
    assert promises.no_static_data(files, tmp_path / "c") == []
    assert promises.no_library_calls(files, tmp_path / "d") == []
    assert promises.prefixed_symbols(files, "kws", tmp_path / "e") == []
    assert promises.no_time_stamp(files) == []


def test_an_arena_one_word_too_small(compiled: Compiled, tmp_path: Path) -> None:
    small = compiled.manifest["arena_bytes"] - 4
    files = changed(compiled.files, "kws.h", r"KWS_ARENA_BYTES \d+u", f"KWS_ARENA_BYTES {small}u")
    assert promises.within_arena(files, compiled.manifest, tmp_path)
    library = promises.build_shared(compiled.files, {**compiled.manifest, "arena_bytes": small}, tmp_path / "guards")
    with pytest.raises(promises.ArenaOverrun):
        library.run(promises.samples(compiled.manifest, 1)[0])


def lowest_bit(match: re.Match[str]) -> str:
    return f"{match[1]}0x{int(match[2], 16) ^ 1:08X}u"


def test_a_threshold_off_by_one(compiled: Compiled, tmp_path: Path) -> None:
    files = changed(compiled.files, "kws_weights.c", r"(kws_l1_preset\[\d+\] = \{\s*)0x([0-9A-F]{8})u", lowest_bit)
    assert promises.same_function(files, compiled, tmp_path)


def test_a_flipped_weight(compiled: Compiled, tmp_path: Path) -> None:
    files = changed(compiled.files, "kws_weights.c", r"(kws_l1_weights\[\d+\] = \{\s*)0x([0-9A-F]{8})u", lowest_bit)
    assert promises.same_function(files, compiled, tmp_path)


@pytest.mark.parametrize("where", ["kernel", "schedule"])
def test_a_static_buffer(compiled: Compiled, tmp_path: Path, where: str) -> None:
    if where == "schedule":
        files = in_run(compiled.files, "static uint32_t count; count++; arena_bytes[0] = (unsigned char)count;")
    else:
        header = "bnn2c_sliced_channels.h"
        files = changed(
            compiled.files,
            header,
            r"(BNN2C_KERNEL void [^;{]*\{\n)",
            lambda m: m[1] + "  static uint32_t hidden; hidden++;\n",
        )
    assert promises.no_static_data(files, tmp_path)


def test_an_added_malloc(compiled: Compiled, tmp_path: Path) -> None:
    files = in_run(
        at_top(compiled.files, "#include <stdlib.h>"), "out->y[0] = (float)(malloc(arena_bytes[0]) != NULL);"
    )
    assert "malloc" in promises.no_library_calls(files, tmp_path)


def test_a_call_of_libm(compiled: Compiled, tmp_path: Path) -> None:
    files = in_run(at_top(compiled.files, "#include <math.h>"), "out->y[0] = expf(in->x[0]);")
    assert "expf" in promises.no_library_calls(files, tmp_path)


def test_a_symbol_without_prefix(compiled: Compiled, tmp_path: Path) -> None:
    files = at_top(compiled.files, "int helper(void);\nint helper(void) { return 1; }")
    assert promises.prefixed_symbols(files, "kws", tmp_path) == ["helper"]


@pytest.mark.parametrize(
    "stamp", ["/* generated 2026-11-24 */", "/* at 04:00:01 */", "static const char kws_when[] = __DATE__;"]
)
def test_a_time_stamp(compiled: Compiled, stamp: str) -> None:
    assert promises.no_time_stamp({**compiled.files, "kws.h": compiled.files["kws.h"] + stamp})


@pytest.mark.cross
@pytest.mark.parametrize("sabotage", [False, True], ids=["kept", "broken"])
def test_a_data_dependent_branch(integer: Compiled, tmp_path: Path, sabotage: bool) -> None:
    """Binary layers take the same time for any input; one branch on a pixel shows."""
    branch = "if (in->image[3] > 64u) { arena_bytes[0] = (unsigned char)(in->image[4] * 3u); }"
    files = in_run(integer.files, branch) if sabotage else integer.files
    try:
        found = promises.constant_time(files, integer.manifest, tmp_path, promises.samples(integer.manifest, 12))
    except ToolchainMissing as error:
        pytest.skip(str(error))
    assert bool(found) == sabotage, found


def test_an_output_written_on_error(compiled: Compiled, tmp_path: Path) -> None:
    """NULL, misaligned: a status, and nothing is written."""
    import ctypes

    def untouched(files: Files, folder: Path) -> bool:
        path = promises.build_shared(files, compiled.manifest, folder).path
        run = ctypes.CDLL(str(path)).kws_run
        memory = (ctypes.c_uint8 * 4096)(*[0xA5] * 4096)
        base = (ctypes.addressof(memory) + 63) // 64 * 64
        status = run(ctypes.c_void_p(base), ctypes.c_void_p(base + 1024), ctypes.c_void_p(base + 2049))
        return status == 2 and set(memory) == {0xA5}

    assert untouched(compiled.files, tmp_path / "kept")
    broken = changed(compiled.files, "kws.c", r"(    return BNN2C_ERROR_ALIGNMENT;)", r"    out->y[0] = 0.0f;\n\1")
    assert not untouched(broken, tmp_path / "broken")
