"""What the kernels are measured by: instructions per 32 binary multiply-accumulates, per target and shape."""

from __future__ import annotations

CMSIS_NN_I32 = 56.3  # arm_convolve_s8 on Cortex-M4, layer C in int8; counted with the same method
VARIANT_FACTOR = 1.5  # variants of layer C: within this factor of the goal of C
SIZE_GOAL = 9.5  # C and F at --optimize size on Cortex-M4
MAX_BITS_PER_WEIGHT = 2.5
WHOLE_NETWORK_FACTOR = 10  # CNV_1W1A on Cortex-M4: this many times fewer instructions than int8

GOALS = {
    "cortex-m0": (5.3, 15.0),
    "cortex-m3": (3.0, 8.0),
    "cortex-m4": (3.0, 8.0),
    "cortex-m7": (3.0, 8.0),
    "cortex-m33": (3.0, 8.0),
    "cortex-m55": (1.1, 4.0),
    "rv32imc": (3.3, 8.8),
    "rv32imc_zbb": (3.3, 4.6),
    "aarch64": (0.75, 0.95),
    "cortex-a7": (0.95, 1.5),
    "x86_64_avx2": (0.6, 0.6),
    "x86_64_avx512": (0.26, 0.6),
}


def goal(network: str, target: str, optimize: str) -> float | None:
    """The largest i32 that is wanted; None when there is no goal."""
    if optimize == "size":
        return SIZE_GOAL if target == "cortex-m4" and network in ("C", "F") else None
    if network == "CNV_1W1A":
        return CMSIS_NN_I32 / WHOLE_NETWORK_FACTOR if target == "cortex-m4" else None
    conv, dense = GOALS[target]
    return dense if network == "F" else conv if network == "C" else VARIANT_FACTOR * conv
