"""Integer weights, biases and multipliers of a convolution.

With inputs `s_x * q`, weights `s_w[o] * w` and outputs `s_y * q'`, `q' = (sum w q + b / (s_x s_w)) * s_x s_w / s_y`.
The weight scale is the smallest that keeps weights in their type and the accumulator within int32 for every input.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.fixed_point.formats import Format, NotFixed

ROOM = 2**31 - 2**16


@dataclass(frozen=True)
class IntegerWeights:
    """`weights = scale[o] * values`, the bias in units of `input scale * scale[o]`, the largest accumulator."""

    values: Array
    bias: Array
    scale: Array
    bound: int


def integer_weights(weights: Array, bias: Array, given: Format, largest: int) -> IntegerWeights:
    """Round real weights per output channel.

    Args:
        weights: real [O, …].
        bias: real [O].
        given: format of the input.
        largest: 127 or 32767; fewer bits are used where the accumulator needs it.
    """
    flat = weights.astype(np.float64).reshape(len(weights), -1)
    peak = np.maximum(np.abs(flat).max(axis=1), 1e-30)
    reach = given.reach
    taps = np.abs(flat).sum(axis=1) / peak + 0.5 * flat.shape[1] / 127
    load = taps * reach + np.abs(bias) / (given.scale * peak)
    unit = peak / np.maximum(np.minimum(largest, np.floor(ROOM / np.maximum(load, 1.0))), 1.0)
    values = np.rint(flat / unit[:, None])
    kind = np.int8 if np.abs(values).max() <= 127 else np.int16
    whole = np.clip(np.rint(bias / (given.scale * unit)), -(2**31) + 1, 2**31 - 1)
    bound = _bound(values, whole, reach)
    return IntegerWeights(values.reshape(weights.shape).astype(kind), whole.astype(np.int64), unit, bound)


def sign_weights(bits: Array, scale: Array, bias: Array, given: Format) -> IntegerWeights:
    """Two-valued weights are exact: `scale[o] * (+1 or -1)`."""
    values = 1 - 2 * bits.astype(np.int8)
    unit = np.maximum(np.abs(scale.astype(np.float64)), 1e-30)
    whole = np.clip(np.rint(bias / (given.scale * unit)), -(2**31) + 1, 2**31 - 1)
    bound = _bound(values.reshape(len(values), -1), whole, given.reach)
    return IntegerWeights(values, whole.astype(np.int64), unit, bound)


def _bound(values: Array, bias: Array, reach: int) -> int:
    """The largest magnitude of the accumulator over all inputs.

    Raises:
        NotFixed: it does not fit in int32.
    """
    largest = int((np.abs(values).astype(np.float64).sum(axis=1) * reach + np.abs(bias)).max())
    if largest > 2**31 - 1:
        raise NotFixed("the accumulator does not fit in 32 bits")
    return largest


@dataclass(frozen=True)
class Rescaling:
    """`q' = round(acc * lift * multiplier / 2^shift)`; multiplier and shift per output channel."""

    lift: int
    multiplier: Array
    shift: Array


def rescaling(ratio: Array, bound: int) -> Rescaling:
    """`ratio = lift * multiplier / 2^shift` with 2^30 <= multiplier < 2^31 and 33 <= shift <= 62.

    Args:
        ratio: positive, [O].
        bound: largest accumulator; times `lift` it must fit in int32.

    Raises:
        NotFixed: the accumulator is much shorter than the result.
    """
    lift = max(0, int(np.frexp(float(np.max(ratio)))[1]) + 2)
    if bound << lift > 2**31 - 1:
        raise NotFixed("the result has more digits than the accumulator")
    fraction, exponent = np.frexp(np.asarray(ratio, np.float64) / 2.0**lift)
    multiplier = np.rint(fraction * 2.0**31).astype(np.int64)
    multiplier, exponent = np.where(multiplier == 2**31, 2**30, multiplier), exponent + (multiplier == 2**31)
    shift = 31 - exponent.astype(np.int64)
    excess = np.clip(shift - 62, 0, 40)
    return Rescaling(1 << lift, multiplier >> excess, np.clip(shift - excess, 33, 62))
