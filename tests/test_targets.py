"""The files of targets/, and what the loader refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

import bnn2c
from bnn2c.data import data_folder
from bnn2c.targets import TargetError, list_targets, load_target

MINIMAL = "description: mine\ncompilers: [gcc]\nrunner:\n  kind: native\n"
PROMISED = {
    "portable", "host", "cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "cortex-a7",
    "aarch64", "powerpc", "rv32imc", "rv32imc_zbb", "x86_64_avx2", "x86_64_avx512",
}  # fmt: skip


def test_promised_targets_are_there() -> None:
    assert set(list_targets()) >= PROMISED
    assert list_targets() == sorted(list_targets())


@pytest.mark.parametrize("name", list_targets())
def test_target_is_complete_and_short(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert target.description and target.packages
    lines = (data_folder("targets") / f"{name}.yaml").read_text("utf-8").splitlines()
    assert lines[0].startswith("# ") and len(lines) <= 25
    boards = data_folder("runtime_c") / "harness" / "boards"
    if target.runner.kind == "qemu-system":
        assert (boards / f"{target.runner.board}.ld").is_file()
        assert (boards / f"{target.runner.startup}.c").is_file()


def test_features() -> None:
    assert load_target("cortex-m4").has("dsp")
    assert not load_target("cortex-m0").has("dsp")
    assert load_target("cortex-m4").fpu == "single"


def test_kernels_are_chosen_by_what_the_file_says_not_by_its_name(tmp_path: Path) -> None:
    """A copy of a target's file, as docs/targets.md asks for, gets the same code."""
    model = Path(__file__).resolve().parent.parent / "examples" / "digits" / "digits_cnn.onnx"
    for name in ("cortex-m4", "cortex-m0", "rv32imc", "aarch64"):
        copy = tmp_path / "board.yaml"
        copy.write_text((data_folder("targets") / f"{name}.yaml").read_text("utf-8"), "utf-8")
        options = {"input_scale": 1 / 255, "optimize": "speed", "name": "digits"}
        of_copy = bnn2c.compile(model, str(copy), **options).manifest["layers"]
        assert of_copy == bnn2c.compile(model, name, **options).manifest["layers"], name


def test_file_of_the_user(tmp_path: Path) -> None:
    path = tmp_path / "board.yaml"
    path.write_text(MINIMAL + "flags: [-O1]\n")
    target = load_target(str(path))
    assert (target.name, target.flags, target.word_bits) == ("board", ("-O1",), 32)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + "flgas: [-O1]\n", "unknown key 'flgas'; did you mean 'flags'?"),
        (MINIMAL + "name: other\n", "unknown key 'name'"),
        (MINIMAL + "fpu: singel\n", "fpu: 'singel' is not one of none, single, double; did you mean 'single'?"),
        (MINIMAL + "word_bits: 33\n", "word_bits: 33 is not one of 32"),
        (MINIMAL + "word_bits: '32'\n", "word_bits: '32' is not a number"),
        (MINIMAL + "word_bits: yes\n", "word_bits: True is not a number"),
        (MINIMAL + "isa: [dps]\n", "isa: unknown feature 'dps'; did you mean 'dsp'?"),
        (MINIMAL + "flags: -O1\n", "flags: '-O1' is not a list of strings"),
        (MINIMAL + "flags: [1]\n", "flags: [1] is not a list of strings"),
        (MINIMAL.replace("native", "qemu"), "kind: 'qemu' is not one of native, native-x86, qemu-user, qemu-system"),
        (MINIMAL.replace("native", "qemu-user"), "runner of kind qemu-user needs the key 'emulator'"),
        (MINIMAL.replace("[gcc]", "[]"), "compilers: name at least one"),
        (MINIMAL.replace("description: mine", ""), "the key 'description' is missing"),
        ("description: mine\ncompilers: [gcc]\nrunner: native\n", "runner must be a mapping"),
        ("- a\n", "target must be a mapping"),
        ("", "target must be a mapping"),
        ("a: [\n", "is not YAML"),
    ],
)
def test_bad_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(TargetError) as caught:
        load_target(str(path))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cortex-m44", "unknown target 'cortex-m44'; did you mean 'cortex-m4'?"),
        ("Cortex-M4", "unknown target 'Cortex-M4'; did you mean 'cortex-m4'?"),
        ("../targets/cortex-m4", "unknown target"),
        ("", "unknown target ''"),
        ("nowhere.yaml", "cannot be read: No such file or directory"),
    ],
)
def test_unknown_target(name: str, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        load_target(name)
    assert message in str(caught.value)
