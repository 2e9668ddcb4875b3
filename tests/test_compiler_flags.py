"""Flags and macros of a firmware's build that generated code has to bear: contraction, -ffast-math, code sections."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
import test_ops
import test_states
import test_streaming
from elftools.elf.elffile import ELFFile
from models import Array, Net, compiled, mlp, ort_session
from sequence_models import recurrent_operator

from bnn2c.pipeline import Compiled
from bnn2c.targets import load_target
from bnn2c.toolchain import build_shared, run_on_target
from bnn2c.toolchain.build import write_files


def fused() -> onnx.ModelProto:
    """a * b - c and its sign; one rounding instead of two gives another sign."""
    n = Net()
    a, b, c = (n.input([1, 64], name) for name in "abc")
    apart = n.add("Sub", n.add("Mul", a, b), c)
    side = n.cast(n.add("Greater", apart, 0.0))
    return n.model(apart, side)


def near() -> list[Array]:
    """Factors, and their products rounded to float32: a * b - c is 0 where the product is rounded before."""
    rng = np.random.default_rng(7)
    a, b = (rng.uniform(0.5, 2, (1, 64)).astype(np.float32) for _ in range(2))
    return [a, b, a * b]


def test_the_vectors_tell_one_rounding_from_two() -> None:
    a, b, c = near()
    once = a.astype(np.float64) * b - c
    assert (once > 0).sum() > 16 and (once < 0).sum() > 16
    assert all((y == 0).all() for y in ort_session(fused())(near()))


def assert_rounded_twice(outputs: list[Array]) -> None:
    assert all((y == 0).all() for y in outputs)


@pytest.mark.parametrize(
    ("compiler", "flags"),
    [("gcc", ["-std=gnu99", "-ffp-contract=fast"]), ("clang", ["-std=gnu99"])],
    ids=["gcc", "clang"],
)
def test_products_are_not_contracted_on_the_host(compiler: str, flags: list[str], tmp_path: Path) -> None:
    if not (path := shutil.which(compiler)):
        pytest.skip(f"{compiler} is not installed")
    found = compiled(fused(), name="net")
    fma = ["-mfma"] if "fma" in Path("/proc/cpuinfo").read_text().split() else []
    library = build_shared(found.files, found.manifest, tmp_path, cflags=[*flags, *fma], compiler=path)
    assert_rounded_twice(library.run(near()))


@pytest.mark.cross
@pytest.mark.parametrize("target", ["cortex-m4", "aarch64"])
def test_products_are_not_contracted_on_cores_that_could(target: str, tmp_path: Path) -> None:
    found = compiled(fused(), name="net", target=target)
    flags = ["-std=gnu99", "-ffp-contract=fast"]
    run = run_on_target(found.files, found.manifest, load_target(target), [near()], tmp_path, count=False, cflags=flags)
    assert_rounded_twice(run.outputs[0])


def built(found: Compiled, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """The schedule as an object file."""
    write_files(found.files, folder)
    command = ["gcc", "-c", "-O2", *flags, "net.c"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


def test_fast_math_is_refused_where_it_would_change_numbers(tmp_path: Path) -> None:
    done = built(compiled(fused(), name="net"), tmp_path / "real", "-ffast-math")
    assert done.returncode != 0 and "compile net.c without it" in done.stderr
    bits = compiled(mlp(decide=True), name="net", input_scale=1 / 255)
    assert built(bits, tmp_path / "bits", "-ffast-math").returncode == 0


@pytest.mark.parametrize("kind", ["window", "loop", "stream", "frames", "states"])
def test_all_functions_are_in_the_code_section(kind: str, tmp_path: Path) -> None:
    stack = test_streaming.same_stack(41, "frames", 2)
    found = {
        "window": lambda: compiled(stack, name="net"),
        "loop": lambda: compiled(recurrent_operator("GRU", 5, "forward"), name="net"),
        "stream": lambda: compiled(stack, name="net", stream=2),
        "frames": lambda: compiled(stack, name="net", stream=2, stream_frames=4),
        "states": lambda: compiled(test_states.swapped(3), name="net", states=test_states.SWAPPED),
    }[kind]()
    done = built(found, tmp_path, '-DBNN2C_CODE_SECTION=__attribute__((section(".itcm")))', "-fno-inline-functions")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "net.o").open("rb") as file:
        elf = ELFFile(file)
        code = [s for s in elf.get_section_by_name(".symtab").iter_symbols() if s["st_info"]["type"] == "STT_FUNC"]
        sections = {elf.get_section(s["st_shndx"]).name for s in code if s["st_shndx"] != "SHN_UNDEF"}
    assert sections == {".itcm"}


@pytest.mark.cross
def test_no_caller_on_thumb_1_relies_on_registers_that_a_function_pops(tmp_path: Path) -> None:
    """-fipa-ra tells a caller which registers stay; GCC 12 forgets r1 to r3, into which -Os pops its stack frame."""
    cases = [case for found in test_ops.OPS.values() for case in found]
    files, _ = test_ops.generate(test_ops.graph_of(cases), "cortex-m0")
    (source,) = [path for path in write_files(files, tmp_path) if "weights" not in path.name]
    code = []
    for flag in ("-fipa-ra", "-fno-ipa-ra"):
        command = ["arm-none-eabi-gcc", *load_target("cortex-m0").flags, "-std=c99", "-Os", flag, "-c", source.name]
        subprocess.run([*command, "-o", "net.o"], cwd=tmp_path, check=True, timeout=300)
        with (tmp_path / "net.o").open("rb") as file:
            code.append(ELFFile(file).get_section_by_name(".text").data())
    assert code[0] == code[1]


def test_every_file_with_functions_keeps_its_registers_on_thumb_1(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", input=np.zeros((2, 1, 100), np.float32))
    found = compiled(mlp(decide=True), name="net", integrity=True, selftest=tmp_path / "v.npz", target="cortex-m0")
    sources = {name: text for name, text in found.files.items() if name.endswith(".c")}
    assert {"net.c", "net_check.c", "net_selftest.c"} <= sources.keys()
    assert [name for name, text in sources.items() if "no-ipa-ra" not in text] == ["net_weights.c"]
