"""Building and running C on the host and on every target, with a small hand-written model."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strict import SANITIZE, WARNINGS
from tiny_model import tiny_files, tiny_manifest, tiny_reference, tiny_samples

from bnn2c.data import data_folder
from bnn2c.targets import Target, list_targets, load_target
from bnn2c.toolchain import (
    ArenaOverrun,
    BuildFailed,
    DoesNotFit,
    ObjectSizes,
    RunFailed,
    TargetRun,
    ToolchainMissing,
    build_shared,
    find_compiler,
    model_sizes,
    require_tools,
    run_on_target,
)
from bnn2c.toolchain.build import Builder
from bnn2c.toolchain.target_run import _model_header
from bnn2c.toolchain.tools import find_emulator

SAMPLES = tiny_samples(4)
NATIVE = ("host", "portable")
STEPPED = "x86_64_avx512"  # runs natively too, where the processor has the instructions, and is counted
CROSS = [name for name in list_targets() if name not in (*NATIVE, STEPPED)]
TARGETS = [*NATIVE, STEPPED, *(pytest.param(name, marks=pytest.mark.cross) for name in CROSS)]


def _target(name: str) -> Target:
    target = load_target(name)
    try:
        require_tools(target)
    except ToolchainMissing as error:
        pytest.skip(str(error))
    return target


def _run(name: str, folder: Path, files: dict[str, str] | None = None, **options: Any) -> TargetRun:
    return run_on_target(
        files or tiny_files(), tiny_manifest(), _target(name), SAMPLES, folder, **{"timeout": 60, **options}
    )


def _sizes(name: str, folder: Path, files: dict[str, str] | None = None) -> ObjectSizes:
    return model_sizes(files or tiny_files(), _target(name), folder)


def _assert_right(outputs: list[list[np.ndarray]]) -> None:
    for made, sample in zip(outputs, SAMPLES, strict=True):
        for one, expected in zip(made, tiny_reference(sample), strict=True):
            assert one.dtype == expected.dtype
            np.testing.assert_array_equal(one, expected)


# --- the host library -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiler", [None, "gcc", "clang"])
@pytest.mark.parametrize("opt", ["-O0", "-O3"])
def test_host_library(tmp_path: Path, compiler: str | None, opt: str) -> None:
    if compiler and not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    library = build_shared(tiny_files(), tiny_manifest(), tmp_path, opt=opt, compiler=compiler)
    _assert_right([library.run(sample) for sample in SAMPLES])


def test_host_library_refuses_other_inputs(tmp_path: Path) -> None:
    library = build_shared(tiny_files(), tiny_manifest(), tmp_path)
    flag, words = SAMPLES[0]
    with pytest.raises(ValueError, match="2 inputs, given 1"):
        library.run([flag])
    with pytest.raises(ValueError, match=r"words is int32 of shape \[2, 4\], given int32 \[4\]"):
        library.run([flag, words[0]])
    with pytest.raises(ValueError, match="given float32"):
        library.run([flag, words.astype(np.float32)])
    batch = library.run([flag[None], words[None].astype(np.int64)])
    np.testing.assert_array_equal(batch[0], tiny_reference(SAMPLES[0])[0])


@pytest.mark.parametrize("write", ["scratch[10] = 1u;", "scratch[-1] = 1u;", "((char *)out)[36] = 1;"])
def test_host_library_sees_writes_outside(tmp_path: Path, write: str) -> None:
    library = build_shared(tiny_files(extra=write), tiny_manifest(), tmp_path, opt="-O0")
    with pytest.raises(ArenaOverrun):
        library.run(SAMPLES[0])


def test_host_library_reports_status(tmp_path: Path) -> None:
    library = build_shared(tiny_files(status="3"), tiny_manifest(), tmp_path)
    with pytest.raises(RunFailed, match="status 3"):
        library.run(SAMPLES[0])


# --- every target -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TARGETS)
def test_run_is_right_and_measured(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = _run(name, tmp_path / "build")
    _assert_right(run.outputs)
    assert run.guards_intact
    assert 0 <= run.stack_bytes < 200
    sizes = _sizes(name, tmp_path / "build")
    assert sizes.const_bytes >= 32 and sizes.code_bytes > 100
    assert sizes.static_ram_bytes == 0
    assert {"tiny_run", "tiny_weights"}.isdisjoint(sizes.undefined)
    assert [path.name for path in tmp_path.iterdir()] == ["build"]
    if name not in NATIVE:
        assert run.constant_time
        assert run.instructions is not None and run.constant_time
        dense, total = run.layer_instructions
        vectors = {"x86_64_avx2": (40, 15, 5), STEPPED: (20, 5, 5)}  # eight sums at a time; their bits as well
        least = vectors.get(name, (150, 70, 40))
        assert least[0] < run.instructions < 400
        assert dense > least[1] and total > least[2] and 0 < run.instructions - dense - total < 40


@pytest.mark.parametrize("name", TARGETS)
def test_faults_are_seen(name: str, tmp_path: Path) -> None:
    extra = "scratch[10] = 1u; calls += in->flag[0]; volatile char room[3000]; room[0] = 1; room[2999] = 1;"
    files = tiny_files(extra=extra, variables="#include <math.h>\nstatic int calls;", scaled="expf((float)sum) + calls")
    run = _run(name, tmp_path, files)
    assert not run.guards_intact
    sizes = _sizes(name, tmp_path, files)
    assert sizes.static_ram_bytes == 4
    assert "expf" in sizes.undefined
    assert 3000 <= run.stack_bytes < 3600


@pytest.mark.parametrize("name", TARGETS)
def test_crash_is_reported(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=f"crashed on {name}"):
        _run(name, tmp_path, tiny_files(extra="__builtin_trap();"), count=False)


@pytest.mark.cross
@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m4", "cortex-m55", "cortex-a7", "aarch64", "rv32imc"])
def test_counting_by_segments_is_exact(name: str, tmp_path: Path) -> None:
    """With vector loops on the cores that have them; the C is compiled the same way in both runs."""
    loop = """for (uint32_t k = 0; k < 1000; k++) {
      for (int i = 0; i < 8; i++) { scratch[i] += popcount(scratch[i] ^ k ^ tiny_weights[i]); }
      if (k % 3 == 0) { sum += (int32_t)scratch[3]; }
    }"""
    fast, slow = (
        _run(name, tmp_path / str(step), tiny_files(extra=loop), opt="-O3", step=step) for step in (False, True)
    )
    assert fast.instructions is not None and fast.instructions > 20_000
    assert (fast.instructions, fast.layer_instructions) == (slow.instructions, slow.layer_instructions)


def test_counting_by_steps_is_exact(tmp_path: Path) -> None:
    """By hand: a round of the loop is three instructions; and it repeats itself."""
    loop = '{ long rounds = %d; __asm__ volatile("1: dec %%0; nop; jnz 1b" : "+r"(rounds)); }'
    one, two, again = (
        _run(STEPPED, tmp_path / str(i), tiny_files(extra=loop % count)) for i, count in enumerate((1000, 2000, 2000))
    )
    if one.instructions is None or two.instructions is None:
        pytest.skip("a program may not step through itself here")
    assert two.instructions - one.instructions == 3000
    assert (two.instructions, two.layer_instructions) == (again.instructions, again.layer_instructions)


def test_processor_without_the_instructions_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("flags : fpu avx2 avx512f\n")
    monkeypatch.setattr("bnn2c.toolchain.tools._CPU_INFO", info)
    with pytest.raises(ToolchainMissing) as caught:
        find_emulator(load_target(STEPPED))
    lacking = "avx512bw, avx512dq, avx512vl, avx512_vpopcntdq"
    assert str(caught.value) == f"target {STEPPED} runs natively, and this processor lacks {lacking}"


@pytest.mark.cross
def test_time_that_depends_on_data_is_seen(tmp_path: Path) -> None:
    loop = "for (int i = 0; i < in->flag[1]; i++) { sum += in->flag[i % 3]; }"
    run = _run("cortex-m4", tmp_path, tiny_files(extra=loop, scaled="(float)sum"))
    assert run.constant_time is False


@pytest.mark.cross
def test_counts_repeat_and_can_be_left_out(tmp_path: Path) -> None:
    first, second = _run("cortex-m4", tmp_path / "a"), _run("cortex-m4", tmp_path / "b")
    assert (first.instructions, first.layer_instructions) == (second.instructions, second.layer_instructions)
    plain = _run("cortex-m4", tmp_path / "c", count=False)
    assert (plain.instructions, plain.layer_instructions, plain.constant_time) == (None, [], None)
    _assert_right(plain.outputs)


@pytest.mark.cross
def test_without_a_host_compiler_nothing_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = _target("cortex-m4")
    builder = Builder.for_target(target, None, (), None)
    monkeypatch.setattr(Builder, "for_target", lambda *_: builder)
    emulator = find_emulator(target)
    monkeypatch.setattr("bnn2c.toolchain.target_run.find_emulator", lambda _: emulator)
    monkeypatch.setattr("shutil.which", lambda name: None)
    run = run_on_target(tiny_files(), tiny_manifest(), target, SAMPLES, tmp_path)
    assert run.instructions is None
    _assert_right(run.outputs)


# --- size -------------------------------------------------------------------------------------------------------------


def _with_constants(mebibytes: int) -> dict[str, str]:
    table = f"extern const uint32_t big[];\nconst uint32_t big[{mebibytes} << 18] = {{1u, 2u}};\n"
    files = tiny_files()
    return {**files, "tiny_weights.c": files["tiny_weights.c"] + table}


@pytest.mark.cross
@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "rv32imc"])
def test_large_model(name: str, tmp_path: Path) -> None:
    files = _with_constants(12)
    _assert_right(_run(name, tmp_path, files).outputs)
    assert _sizes(name, tmp_path, files).const_bytes >= 12 << 20


@pytest.mark.cross
def test_too_large_model(tmp_path: Path) -> None:
    with pytest.raises(DoesNotFit, match=r"cortex-m4: the model is [\d,]+ bytes too large for memory BIG"):
        _run("cortex-m4", tmp_path, _with_constants(17))


# --- what else goes wrong ---------------------------------------------------------------------------------------------


def test_endless_loop_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="did not end within 1 s"):
        _run("host", tmp_path, tiny_files(extra="for (volatile int i = 1; i; ) {}"), timeout=1)


def test_sanitizers(tmp_path: Path) -> None:
    how = {"cflags": SANITIZE["gcc"], "compiler": "gcc"}
    _assert_right(_run("host", tmp_path / "good", **how).outputs)
    with pytest.raises(RunFailed, match="signed integer overflow"):
        _run("host", tmp_path / "bad", tiny_files(extra="sum += 2147483647 - in->flag[0];"), **how)


def test_compiler_messages_are_kept(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"(?s)compiling tiny.c for host failed\n.*nonsense"):
        _run("host", tmp_path, tiny_files(extra="nonsense;"))


def test_missing_tools_name_the_command_that_installs_them() -> None:
    target = dataclasses.replace(load_target("cortex-m4"), compilers=("no-such-gcc",))
    with pytest.raises(ToolchainMissing) as caught:
        require_tools(target)
    install = "sudo apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
    assert str(caught.value) == f"target cortex-m4 needs no-such-gcc; install it with: {install}"


def test_host_without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolchainMissing, match="needs cc or gcc or clang; install .* pip install ziglang"):
        find_compiler(load_target("host"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert find_compiler(load_target("host"))[1:] == ["-m", "ziglang", "cc"]


def test_file_names_stay_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a plain file name"):
        build_shared({"../evil.c": ""}, tiny_manifest(), tmp_path)


# --- the harness itself -----------------------------------------------------------------------------------------------

HOST_SOURCES = ("main.c", "io_stdio.c", "plugin/count.c", "step/count.c")
SYSTEM_SOURCES = ("main.c", "io_semihosting.c", "boards/{startup}.c")


def _assert_no_warning(command: list[str], sources: tuple[str, ...], startup: str, folder: Path) -> None:
    (folder / "tiny.h").write_text(tiny_files()["tiny.h"])
    (folder / "harness_model.h").write_text(_model_header(tiny_manifest()))
    for source in sources:
        path = data_folder("runtime_c") / "harness" / source.format(startup=startup)
        done = subprocess.run(
            [*command, *WARNINGS, "-O2", f"-I{folder}", "-c", str(path), "-o", str(folder / "x.o")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_harness_has_no_warning_on_the_host(compiler: str, tmp_path: Path) -> None:
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    _assert_no_warning([compiler], HOST_SOURCES, "", tmp_path)


@pytest.mark.cross
@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m4", "rv32imc"])
def test_harness_has_no_warning_on_targets(name: str, tmp_path: Path) -> None:
    target = _target(name)
    _assert_no_warning([*find_compiler(target), *target.flags], SYSTEM_SOURCES, target.runner.startup, tmp_path)
