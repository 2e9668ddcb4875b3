"""Which row of the kernels' tables describes a target: widths of vectors, and instruction counts per kind of core."""

from __future__ import annotations

from bnn2c.targets import Target

__all__ = ["core_of", "counting_row", "turns_operands", "vector_row", "widest_lanes"]

_THUMB = ("cortex-m", "cortex-m0")


def core_of(target: Target) -> str:
    """The kind of core (`Target.core`), or what the instruction set says of it: the row for words of 32 bits."""
    if target.core != "other":
        return target.core
    return "x86" if target.has("avx2") else "armv7" if target.has("neon") else "other"


def widest_lanes(target: Target) -> int:
    """Words of the widest vectors that pay on a target (BNN2C_LANE_WORDS)."""
    if target.has("avx2"):
        return 8
    if target.has("neon") or target.has("mve"):
        return 4
    return 2 if core_of(target) == "rv32" else 1  # two words share the decoding of a list; 31 registers hold both


def vector_row(target: Target, lane_words: int) -> str:
    """The row that describes a target with vectors of `lane_words` words; such rows exist for the widest ones only."""
    core = core_of(target)
    if lane_words == 1 or lane_words != widest_lanes(target):
        return core if core in _THUMB else "other"
    return "cortex-m55" if target.has("mve") else core


def counting_row(target: Target) -> str:
    """The row of `popcount_rows`, named after what counts bits."""
    if target.has("neon"):
        return core_of(target)
    return "zbb" if target.has("zbb") else "avx512" if target.has("avx512") else "x86"


def turns_operands(target: Target) -> bool:
    """Whether turning a word by a known number is free (an operand on Arm but for Thumb-1) or one instruction (Zbb)."""
    return core_of(target) == "cortex-m" or target.has("neon") or target.has("zbb")
