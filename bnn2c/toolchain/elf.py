"""Reads object files and programs: sizes, symbols, and the marks of the instruction counter."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Symbol, SymbolTableSection

__all__ = ["ObjectSizes", "object_sizes", "read_marks"]

# Unwinding tables and notes are not part of a firmware image; they depend on the compiler's configuration.
_NOT_FLASHED = (".eh_frame", ".note", ".ARM.exidx", ".ARM.extab")
# Constants with addresses in them, in position independent objects.
_RELOCATED_CONSTANTS = ".data.rel.ro"


@dataclass(frozen=True)
class ObjectSizes:
    """What the object files of a model need.

    Attributes:
        code_bytes: instructions.
        const_bytes: constants (weights, thresholds, tables).
        static_ram_bytes: variables with static storage; 0 for generated code.
        undefined: symbols that must come from elsewhere (C library, compiler support library), sorted.
    """

    code_bytes: int
    const_bytes: int
    static_ram_bytes: int
    undefined: tuple[str, ...]

    @property
    def flash_bytes(self) -> int:
        """Code and constants."""
        return self.code_bytes + self.const_bytes


def object_sizes(objects: Sequence[Path]) -> ObjectSizes:
    """Measure ELF object files, as one unit: what one defines for the other is not undefined."""
    totals = {"code": 0, "const": 0, "ram": 0}
    defined: set[str] = set()
    needed: set[str] = set()
    for path in objects:
        with path.open("rb") as file:
            elf = ELFFile(file)
            for section in elf.iter_sections():
                if (kind := _section_kind(section)) is not None:
                    totals[kind] += section["sh_size"]
            totals["ram"] += _collect_symbols(elf, defined, needed)
    return ObjectSizes(totals["code"], totals["const"], totals["ram"], tuple(sorted(needed - defined)))


def _section_kind(section: Any) -> str | None:  # noqa: ANN401 - elftools has no types
    """`code`, `const` or `ram`; None for a section that takes no room on the device."""
    flags = section["sh_flags"]
    if not flags & SH_FLAGS.SHF_ALLOC or section.name.startswith(_NOT_FLASHED):
        return None
    if flags & SH_FLAGS.SHF_EXECINSTR:
        return "code"
    writable = flags & SH_FLAGS.SHF_WRITE and not section.name.startswith(_RELOCATED_CONSTANTS)
    return "ram" if writable else "const"


def _collect_symbols(elf: ELFFile, defined: set[str], needed: set[str]) -> int:
    """Add the global symbols to the sets; the bytes of common symbols, which are variables without a section."""
    common = 0
    for symbol in _symbols(elf):
        if not symbol.name or symbol["st_info"]["bind"] == "STB_LOCAL":
            continue
        if symbol["st_shndx"] == "SHN_UNDEF":
            needed.add(symbol.name)
            continue
        defined.add(symbol.name)
        common += symbol["st_size"] if symbol["st_shndx"] == "SHN_COMMON" else 0
    return common


def _symbols(elf: ELFFile) -> Iterator[Symbol]:
    table = elf.get_section_by_name(".symtab")
    if isinstance(table, SymbolTableSection):
        yield from table.iter_symbols()


def read_marks(program: Path, function: str) -> list[tuple[int, int]]:
    """The marks of a program (runtime_c/harness/marks.h), and mark 0 at the start of the model's function.

    Args:
        program: linked ELF file.
        function: name of the model's function.

    Returns:
        (address, number) in the order of addresses; marks at one address in the order of the source.
    """
    with program.open("rb") as file:
        elf = ELFFile(file)
        word = ("<" if elf.little_endian else ">") + ("QQ" if elf.elfclass == 64 else "II")
        section = elf.get_section_by_name(".bnn2c_marks")
        found = list(struct.iter_unpack(word, section.data())) if section is not None else []
        start = next(symbol["st_value"] for symbol in _symbols(elf) if symbol.name == function)
        thumb_bit = 1 if elf["e_machine"] == "EM_ARM" else 0
    marks = [(start, 0), *((address, number) for address, number in found)]
    return sorted(((address & ~thumb_bit, number) for address, number in marks), key=lambda mark: mark[0])
