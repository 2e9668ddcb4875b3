"""Lowering of linear layers: choose the cheapest exact form by what inputs and weights can hold.

With level codes x = unit * (top[c] - step * q) and weights W[o] = a[o] * w (w small integers), a dot product over the
taps inside the input is an affine function of a mismatch count:

    sum W x = a[o] * unit * (base[class, o] - step * acc),      acc = sum_ij c_ij * popcount(w_i XOR q_j) >= 0

where taps outside the input read the code 0 and `base` corrects for them per border class: they contribute
`W * (pad value - top)` more than the code 0 says. `base` is computed without the factors: where the levels are
multiples of the unit it is a whole number (or half of one), so a sum that is 0 in real arithmetic is exactly 0.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from bnn2c.analysis.steps import Array
from bnn2c.errors import plural
from bnn2c.expr import Arg, Expr, apply, const
from bnn2c.ir import Node, TensorType
from bnn2c.ir.window import Window
from bnn2c.lowering.integers import integer_input, on_bytes
from bnn2c.lowering.levels import Even, Levels, comparable, find_levels, nearly_whole
from bnn2c.lowering.state import Lazy, State, rearranged
from bnn2c.lowering.weights import Integers, Planes, as_integers, as_planes
from bnn2c.ops.binary_conv2d import BinaryConv2d
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.integer_conv2d import IntegerConv2d
from bnn2c.ops.map import Map
from bnn2c.ops.sign_conv2d import SignConv2d
from bnn2c.ops.ternary_conv2d import TernaryConv2d

MAX_SIGN_PLANES = 2


def lower_conv2d(state: State, node: Node, op: Conv2d) -> Lazy:
    """Binary, integer, addition-only or real convolution."""
    lazy = state.lazies[node.inputs[0]]
    if not op.weights.any():
        return _nothing(state, node)
    split = as_integers(op.weights)
    op, lazy = _flattened(state, node, op, lazy)
    if split is not None:
        split = Integers(split.integers.reshape(op.weights.shape), split.scale)
    if split is None:
        return _real(state, node, op, lazy)
    levels = find_levels(state, lazy, node)
    even = levels.even if levels is not None else None
    if levels is not None and even is not None:
        return _binary(state, node, op, levels, even, split)
    if levels is not None and not comparable(levels.values):
        return _real(state, node, op, lazy)
    small = np.abs(split.integers).max() <= 1
    found = integer_input(state, node, on_bytes(state, node, lazy) if small else lazy)
    if found is not None:
        return _integer(state, node, op, *found, split)
    return _signs(state, node, op, lazy, split)


def _flattened(state: State, node: Node, op: Conv2d, lazy: Lazy) -> tuple[Conv2d, Lazy]:
    """A window as large as an unpacked map is a dense layer over the flat map: its bits fill whole words.

    Sums of a binary convolution are packed as they are made, unless a pixel's words are larger than its sums.
    """
    height, width, channels = lazy.shape
    whole = op.window.kernel == (height, width) and not any(op.window.pads) and op.groups == 1
    stored = lazy.root not in state.pools and state.builder.types[lazy.root].storage != "bits"
    if not (whole and stored and height * width > 1 and channels % 32) or _packs_itself(state, lazy.root):
        return op, lazy
    index = np.arange(height * width * channels, dtype=np.int32).reshape(1, 1, -1)
    flat = rearranged(state, node, lazy, index)
    return Conv2d(op.weights.reshape(len(op.weights), 1, 1, -1), Window((1, 1))), flat


def _packs_itself(state: State, root: str) -> bool:
    """Whether a threshold of this accumulator becomes part of the binary convolution that computes it."""
    kind = state.builder.types[root]
    made = any(n.output == root and isinstance(n.op, BinaryConv2d) for n in reversed(state.builder.nodes))
    return made and TensorType(kind.shape, "bits").nbytes < kind.nbytes


def border(op: Conv2d, values: Array, size: tuple[int, int], inside: bool) -> Array:
    """Sum of `values` [O, KH, KW] over the taps inside (or outside) the input, per output position.

    Shape [OH or 1, OW or 1, O]; axes without padding are not spread.
    """
    rows, cols = op.window.valid_taps(*size)
    rows = rows if not rows.all() else rows[:1]
    cols = cols if not cols.all() else cols[:1]
    valid = np.einsum("yk,xl,okl->yxo", rows.astype(np.float64), cols.astype(np.float64), values)
    return np.asarray(valid if inside else values.sum(axis=(1, 2)) - valid)


def per_tap(weights: Array, channel_values: Array, groups: int) -> Array:
    """`sum_c W[o, ky, kx, c] * v[c]`, [O, KH, KW]; v is [1] or [I]."""
    outputs, kernel_h, kernel_w, width = weights.shape
    spread = np.broadcast_to(channel_values, (groups * width,)).reshape(groups, 1, 1, 1, width)
    grouped = weights.astype(np.float64).reshape(groups, outputs // groups, kernel_h, kernel_w, width)
    return np.asarray((grouped * spread).sum(axis=-1).reshape(outputs, kernel_h, kernel_w))


def _binary(state: State, node: Node, op: Conv2d, levels: Levels, even: Even, split: Integers) -> Lazy:
    """XNOR-popcount form."""
    planes: Planes = as_planes(split.integers)
    acts = [1 << j for j in range(levels.planes)]
    coefficients = tuple(tuple(c * a for a in acts) for c in planes.coefficients)
    binary = BinaryConv2d(planes.bits, coefficients, op.window, op.groups)
    why = [
        f"input is level codes of {levels.values.shape[1]} values",
        f"weights are {_form(split)} times a scale per channel",
    ]
    root = state.builder.emit(binary, [levels.code], node.output, node.origin, why)
    state.domains[root] = np.arange(binary.largest + 1)
    size = state.builder.types[levels.code].shape[:2]
    base = _correction(op, levels, even, split, size) + even.step / planes.divisor * binary.largest / 2
    descent = _descend(base, even.step / planes.divisor, split.scale * even.unit)
    return Lazy(root, descent, state.builder.types[root].shape)


def _correction(op: Conv2d, levels: Levels, even: Even, split: Integers, size: tuple[int, int]) -> Array:
    """What codes in the middle of their range, and taps outside the input, add: [OH or 1, OW or 1, O], in units."""
    middle = even.tops - even.step * ((1 << levels.planes) - 1) / 2
    pads = nearly_whole(np.asarray(op.pad_value, np.float64).reshape(-1) / even.unit)
    taps = per_tap(split.integers, middle, op.groups)
    outside = per_tap(split.integers, pads - even.tops, op.groups)
    return np.asarray(taps.sum(axis=(1, 2)) + border(op, outside, size, inside=False))


def _descend(base: Array, step: float, factor: Array) -> Expr:
    """`factor[o] * (base - step * acc)` in float64, rounded once to float32.

    With `step` a power of two and `base` a multiple of 1/2 both products round alike, so equal terms cancel to 0.
    """
    scaled = const(np.asarray(base * factor, np.float64))
    return apply("descend", Arg(0), scaled, const((step * factor).reshape(1, 1, -1).astype(np.float64)))


def _form(split: Integers) -> str:
    found = np.unique(split.integers)
    return (
        "two-valued"
        if len(found) == 2 and 0 not in found
        else f"the {len(found)} integers {found.min()} … {found.max()}"
    )


def _integer(state: State, node: Node, op: Conv2d, root: str, affine: tuple[float, float], split: Integers) -> Lazy:
    """8-bit integers times small integers: `sum W x = a * scale * sum w * (q + offset / scale)`, pads likewise."""
    sign = -1 if affine[0] > 0 else 1
    integer = IntegerConv2d((sign * split.integers).astype(np.int8), op.window, op.groups)
    why = ["input is an affine image of 8-bit integers", f"weights are {_form(split)} times a scale per channel"]
    name = state.builder.emit(integer, [root], node.output, node.origin, why)
    size = state.builder.types[root].shape[:2]
    scale, offset = affine
    starts = _half_whole(np.array([offset / scale]))
    pads = _half_whole(np.asarray(op.pad_value, np.float64).reshape(-1) / scale)
    inside = border(op, per_tap(split.integers, starts, op.groups), size, inside=True)
    outside = border(op, per_tap(split.integers, pads, op.groups), size, inside=False)
    state.domains[name] = _integer_domain(integer, state.builder.types[root].storage)
    descent = _descend(-sign * (inside + outside), 1.0, split.scale * abs(scale))
    return Lazy(name, descent, state.builder.types[name].shape)


def _half_whole(numbers: Array) -> Array:
    """Multiples of 1/2 where the numbers are that within rounding: pixels are often centred at 127.5."""
    return nearly_whole(2.0 * numbers) / 2.0


def _integer_domain(op: IntegerConv2d, storage: str) -> Array:
    """All integers between the smallest and the largest possible sum of any channel."""
    flat = op.weights.reshape(len(op.weights), -1).astype(np.int64)
    low, high = (0, 255) if storage == "u8" else (-128, 127)
    positive, negative = np.where(flat > 0, flat, 0).sum(1), np.where(flat < 0, flat, 0).sum(1)
    return np.arange(int((negative * high + positive * low).min()), int((positive * high + negative * low).max()) + 1)


def _signs(state: State, node: Node, op: Conv2d, lazy: Lazy, split: Integers) -> Lazy:
    """Real input, weights that are sums of a few signs (two-valued, ternary): additions and subtractions only."""
    planes = as_planes(split.integers)
    if len(planes.coefficients) > MAX_SIGN_PLANES or np.size(op.pad_value) > 1:
        return _real(state, node, op, lazy)
    pad = float(np.reshape(op.pad_value, -1)[0])
    why = [f"weights are {_form(split)} times a scale per channel"]
    why.append(f"input values are not limited: {describe(state, lazy)}")
    source = state.real(lazy, node)
    if np.abs(split.integers).max() == 1 and (split.integers == 0).any():
        ternary = TernaryConv2d(split.integers, split.scale.astype(np.float32), op.window, op.groups, pad)
        name = state.builder.emit(ternary, [source], node.output, node.origin, why)
        return Lazy(name, Arg(0), state.builder.types[name].shape)
    parts = []
    for bits, coefficient in zip(planes.bits, planes.coefficients, strict=True):
        scale = (split.scale * coefficient / planes.divisor).astype(np.float32)
        added = SignConv2d(bits, scale, op.window, op.groups, pad)
        parts.append(state.builder.emit(added, [source], node.output, node.origin, why))
    if len(parts) == 1:
        return Lazy(parts[0], Arg(0), state.builder.types[parts[0]].shape)
    args: list[Expr] = [Arg(i) for i in range(len(parts))]
    total = reduce(lambda x, y: apply("add", x, y), args)
    shape = state.builder.types[parts[0]].shape
    name = state.builder.emit(Map(total, shape), parts, node.output, node.origin)
    return Lazy(name, Arg(0), shape)


def _nothing(state: State, node: Node) -> Lazy:
    """All weights are zero: so is the result."""
    shape = state.source.types[node.output].shape
    state.warn("BNN015", "all weights are zero: the output of this layer is constant", node)
    name = state.builder.emit(Map(const(0.0), shape), [], node.output, node.origin)
    return Lazy(name, Arg(0), shape)


def describe(state: State, lazy: Lazy) -> str:
    """Where a tensor's values come from, for a person."""
    if lazy.root in state.pools:
        return f"a max pool of {describe(state, state.pools[lazy.root].inner)}"
    producer = next((n for n in state.builder.nodes if n.output == lazy.root), None)
    if producer is None:
        return f"the graph input {lazy.root}"
    return f"the result of {producer.op.kind} {producer.origin[0] if producer.origin else producer.output}"


def _real(state: State, node: Node, op: Conv2d, lazy: Lazy) -> Lazy:
    """Float32 weights; a pad value other than 0 is kept."""
    why = [f"weights take {plural(len(np.unique(op.weights)), 'value')}: real"]
    name = state.builder.emit(op, [state.real(lazy, node)], node.output, node.origin, why)
    return Lazy(name, Arg(0), state.builder.types[name].shape)
