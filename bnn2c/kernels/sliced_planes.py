"""Output-channel lanes for several activation or weight planes; the kernel is runtime_c/bnn2c_sliced_planes.h."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bnn2c.kernels import sliced_channels
from bnn2c.kernels.c_struct import c_struct
from bnn2c.kernels.shape import Array, ConvShape, digits_of, lanes

HEADER = "bnn2c_sliced_planes.h"
STRUCT = "bnn2c_sliced_planes"
Pair = tuple[int, int, int]


def plan(coefficients: tuple[tuple[int, ...], ...]) -> list[Pair] | None:
    """(input plane, weight plane, shift) from the largest factor to the smallest.

    Shifts are differences of exponents; None when some factor is not a power of two times the smallest, which must be
    1.
    """
    pairs = sorted(((c, j, i) for i, row in enumerate(coefficients) for j, c in enumerate(row)), reverse=True)
    if pairs[-1][0] != 1 or any(c & (c - 1) for c, _, _ in pairs):
        return None
    exponents = [c.bit_length() - 1 for c, _, _ in pairs]
    shifts = [0, *(a - b for a, b in zip(exponents, exponents[1:], strict=False))]
    return [(j, i, s) for (_, j, i), s in zip(pairs, shifts, strict=True)]


def digits(shape: ConvShape, coefficients: tuple[tuple[int, ...], ...], levels: int) -> int:
    """Digits of the accumulator, and one more to compare."""
    return max(6, digits_of(shape.taps * sum(map(sum, coefficients))) + (1 if levels else 0))


def pack(
    shape: ConvShape,
    weights: Array,
    coefficients: tuple[tuple[int, ...], ...],
    thresholds: Array | None,
    diagonal: bool = False,
) -> dict[str, Array]:
    """Constant arrays.

    Args:
        shape: geometry.
        weights: uint8 bits [planes, O, KH, KW, I].
        coefficients: factor of every pair of planes.
        thresholds: int32 [classes, O, levels]: level l is reached when acc >= threshold; None for raw accumulators.
        diagonal: layout of the weights (runtime_c/bnn2c_sliced_counts.h).

    Returns:
        plan, weights, preset, row_class and col_class.
    """
    encoded = [sliced_channels.pack(shape, plane, None, diagonal=diagonal) for plane in weights]
    found = {
        "plan": np.asarray(plan(coefficients), np.uint8).reshape(-1),
        "weights": np.stack([e["weights"] for e in encoded]),
        "row_class": encoded[0]["row_class"],
        "col_class": encoded[0]["col_class"],
    }
    if thresholds is not None:
        count = digits(shape, coefficients, thresholds.shape[2])
        starts = (1 << (count - 1)) - thresholds.astype(np.int64)
        bits = ((starts[..., None] >> np.arange(count)) & 1).astype(np.uint8)
        found["preset"] = np.ascontiguousarray(np.moveaxis(lanes(np.moveaxis(bits, 1, -1)), -1, 1))
    return found


def initializer(
    shape: ConvShape, coefficients: tuple[tuple[int, ...], ...], planes: int, levels: int, names: Mapping[str, str]
) -> str:
    """C initialiser of the parameter struct."""
    geometry = shape.c_initializer(names["row_class"], names["col_class"])
    return c_struct(
        shape=geometry, input_planes=planes, pairs=sum(map(len, coefficients)),
        digits=digits(shape, coefficients, levels), levels=levels, output_planes=levels.bit_length(),
        plan=f"(const bnn2c_plane_pair *)(const void *){names['plan']}",
        weights=names["weights"], preset=names.get("preset", "NULL"),
    )  # fmt: skip


def scratch_words(shape: ConvShape, planes: int) -> int:
    """Encoded patches of all planes, and the carries of one."""
    return (planes + 1) * -(-shape.taps // 32)
