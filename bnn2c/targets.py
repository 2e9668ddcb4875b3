"""Targets: the devices that code is generated for, each described by one file of targets/.

A target says which instructions may be used, which compiler and flags build the code, and how to run it. The keys of
the YAML file are the fields of `Target` and `Runner`; adding a target means adding a file.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bnn2c.data import data_folder

__all__ = ["CORES", "ISA_FEATURES", "Runner", "Target", "TargetError", "list_targets", "load_target", "nearest"]

ISA_FEATURES = ("avx2", "avx512", "dsp", "mve", "neon", "popcnt", "zbb")
CORES = ("other", "cortex-m", "cortex-m0", "rv32", "armv7", "aarch64", "x86")

_CHOICES: dict[str, tuple[object, ...]] = {
    "word_bits": (32,),
    "byte_order": ("little", "big"),
    "fpu": ("none", "single", "double"),
    "optimize": ("size", "balanced", "speed"),
    "core": CORES,
    "kind": ("native", "native-x86", "qemu-user", "qemu-system"),
}


class TargetError(ValueError):
    """A target does not exist, or its file cannot be used; the message is one line for the user."""


@dataclass(frozen=True)
class Runner:
    """How a program for the target is run on this machine.

    Attributes:
        kind: `native`, or `native-x86`, a program of this machine (x86-64 Linux) that counts by single steps, or a
            program under QEMU's user mode, or a bare-metal image on a board that QEMU emulates.
        cpu_flags: flags in /proc/cpuinfo without which the program does not run here (native-x86 only).
        emulator: program name, such as qemu-system-arm.
        machine: argument of -M (qemu-system only).
        cpu: argument of -cpu; empty leaves QEMU's default.
        board: linker script with the memory map, a name in runtime_c/harness/boards (qemu-system only).
        startup: startup code, a name in runtime_c/harness/boards (qemu-system only).
    """

    kind: str
    emulator: str = ""
    machine: str = ""
    cpu: str = ""
    board: str = ""
    startup: str = ""
    cpu_flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the values; raises TargetError."""
        _check_choices(self)
        needed = {"qemu-user": ("emulator",), "qemu-system": ("emulator", "machine", "board", "startup")}
        for key in needed.get(self.kind, ()):
            if not getattr(self, key):
                raise TargetError(f"runner of kind {self.kind} needs the key {key!r}")


@dataclass(frozen=True)
class Target:
    """One device family.

    Attributes:
        name: file name without .yaml.
        description: one line for `bnn2c targets`.
        compilers: compilers to try in this order; `ziglang` stands for `python -m ziglang cc`.
        runner: how to run programs.
        word_bits: width of the words that bits are packed into; 32 (wider vectors are several words: `lane_words`).
        byte_order: `little` or `big` endian; generated code does not depend on it, files of test programs do.
        isa: instruction set features that generated code may use, of `ISA_FEATURES`.
        core: kind of core, of `CORES`, whose instruction counts kernels are chosen by; "cortex-m" executes Thumb-2, and
            "cortex-m0" Armv6-M.
        fpu: `none`, `single` or `double` precision in hardware.
        optimize: what `--optimize` is when the user does not say.
        flags: compiler flags, for compiling and linking.
        link_flags: further flags for linking.
        packages: Debian packages with the compiler, its C library and the emulator.
        cycles_per_instruction: rough average of the core, for estimates; 0 makes none.
    """

    name: str
    description: str
    compilers: tuple[str, ...]
    runner: Runner
    word_bits: int = 32
    byte_order: str = "little"
    isa: tuple[str, ...] = ()
    core: str = "other"
    fpu: str = "none"
    optimize: str = "balanced"
    flags: tuple[str, ...] = ()
    link_flags: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    cycles_per_instruction: float = 0.0

    def __post_init__(self) -> None:
        """Check the values; raises TargetError."""
        _check_choices(self)
        for feature in self.isa:
            if feature not in ISA_FEATURES:
                raise TargetError(f"isa: unknown feature {feature!r}{_did_you_mean(feature, ISA_FEATURES)}")
        if not self.compilers:
            raise TargetError("compilers: name at least one")

    def has(self, feature: str) -> bool:
        """Whether generated code may use an instruction set feature (of `ISA_FEATURES`)."""
        return feature in self.isa


def list_targets() -> list[str]:
    """Names of the targets that come with bnn2c, sorted."""
    return sorted(path.stem for path in data_folder("targets").glob("*.yaml"))


def load_target(name: str) -> Target:
    """Read and check a target.

    Args:
        name: a name of `list_targets`, or the path of a .yaml file of the user's own.

    Raises:
        TargetError: when there is no such target, or its file is not valid.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if name not in list_targets():
            raise TargetError(f"unknown target {name!r}{_did_you_mean(name, list_targets())}")
        path = data_folder("targets") / f"{name}.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        keys = _checked_keys(data, Target, {"name": path.stem})
        keys["runner"] = Runner(**_checked_keys(keys["runner"], Runner, {}))
        return Target(**keys)
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(f"target file {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise TargetError(f"target file {path} is not YAML: {' '.join(str(error).split())}") from error
    except TargetError as error:
        raise TargetError(f"target file {path}: {error}") from error


def _checked_keys(data: object, kind: type, given: dict[str, Any]) -> dict[str, Any]:
    """`data` and `given` as keyword arguments of the dataclass `kind`, lists as tuples."""
    if not isinstance(data, dict):
        raise TargetError(f"{kind.__name__.lower()} must be a mapping of keys to values")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in data:
        if key not in fields or key in given:
            raise TargetError(f"unknown key {key!r}{_did_you_mean(str(key), fields.keys() - given.keys())}")
    for key, field in fields.items():
        if field.default is dataclasses.MISSING and key not in {**data, **given}:
            raise TargetError(f"the key {key!r} is missing")
    return {**given, **{key: _checked_value(key, str(fields[key].type), value) for key, value in data.items()}}


def _checked_value(key: str, annotation: str, value: object) -> object:
    """`value` when it has the annotated type of the field `key`, a list of strings as tuple."""
    if annotation == "tuple[str, ...]":
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise TargetError(f"{key}: {value!r} is not a list of strings")
        return tuple(value)
    plain = {"str": str, "int": int, "float": float}.get(annotation)
    if plain is not None and type(value) is not plain:
        raise TargetError(f"{key}: {value!r} is not a {'string' if plain is str else 'number'}")
    return value


def _check_choices(record: Target | Runner) -> None:
    for field in dataclasses.fields(record):
        value, allowed = getattr(record, field.name), _CHOICES.get(field.name)
        if allowed is not None and value not in allowed:
            hint = _did_you_mean(str(value), [str(choice) for choice in allowed])
            raise TargetError(f"{field.name}: {value!r} is not one of {', '.join(map(str, allowed))}{hint}")


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that somebody may have meant; empty when none is near."""
    return next(iter(difflib.get_close_matches(word.lower(), sorted(known), n=1)), "")


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = nearest(word, known)
    return f"; did you mean {close!r}?" if close else ""
