"""One rule per operation: its fixed-point form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bnn2c.analysis.steps import Array, classes_of
from bnn2c.fixed_point.clamped import Clamped
from bnn2c.fixed_point.expressions import compile_expression
from bnn2c.fixed_point.formats import INTEGER_LIMITS, Format, NotFixed
from bnn2c.fixed_point.forms import form_of
from bnn2c.fixed_point.lookup import as_lookup
from bnn2c.fixed_point.program import of_loaded
from bnn2c.fixed_point.rewriter import Rewriter, Rule
from bnn2c.fixed_point.weights import IntegerWeights, integer_weights, rescaling, sign_weights
from bnn2c.ir import Node, Op, origins
from bnn2c.ops.arg_max import ArgMax
from bnn2c.ops.average_pool import AveragePool
from bnn2c.ops.concat import Concat
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.embedding import Embedding
from bnn2c.ops.fixed_average_pool import FixedAveragePool
from bnn2c.ops.fixed_conv2d import FixedConv2d
from bnn2c.ops.fixed_map import FixedMap
from bnn2c.ops.fixed_mat_mul import FixedMatMul
from bnn2c.ops.fixed_reduce import FixedReduce
from bnn2c.ops.fixed_softmax import REACH, FixedSoftmax
from bnn2c.ops.map import Map
from bnn2c.ops.mat_mul import MatMul
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.quantize import Quantize
from bnn2c.ops.rearrange import Rearrange
from bnn2c.ops.reduce import Reduce
from bnn2c.ops.sign_conv2d import SignConv2d
from bnn2c.ops.softmax import Softmax

WEIGHTS = {"int8": 127, "int16": 32767}
FEW_WEIGHTS = 2048


def _map(work: Rewriter, node: Node, op: Map) -> None:
    """A convolution's epilogue, another name for its operand, or an integer program."""
    if node.output in work.fused:
        source, clamp = work.fused[node.output]
        _convolution(work, node, source, clamp)
        return
    if _is_alias(work, node, op):
        return
    out = work.formats.get(node.output) or Format(op.storage, 1.0, whole=True)
    operands = [work.number(name) for name in node.inputs]
    numbers = [n for _, n in operands]
    program = compile_expression(op.expr, op.shape, numbers, work.calibration.ranges, out)
    program = as_lookup(program, op, [work.types[name] for name, _ in operands], numbers, out) or program
    program, loaded = of_loaded(program)
    work.emit(node.output, FixedMap(program, op.shape, out.storage), tuple(operands[k][0] for k in loaded), node)


def _is_alias(work: Rewriter, node: Node, op: Map) -> bool:
    """`scale * q` of an 8-bit integer is that integer, when only convolutions and elementwise operations read it."""
    readers = [n.op for n in work.source.consumers()[node.output]]
    if (
        len(node.inputs) != 1
        or work.members.get(node.output) != 1
        or node.output in {p.value for p in work.source.outputs}
    ):
        return False
    kind = work.source.types[node.inputs[0]]
    if kind.storage not in ("u8", "i8") or not all(isinstance(r, (Conv2d, SignConv2d, Map)) for r in readers):
        return False
    form = form_of(op.expr, classes_of(op.expr, op.shape))
    factors = [f for f in form.terms.values() if f.size == 1 and float(f.reshape(-1)[0]) > 0]
    if len(form.terms) != 1 or not factors or form.shift.any() or next(iter(form.terms)).index != 0:
        return False
    work.formats.pop(node.output)
    work.alias[node.output] = (node.inputs[0], Format(kind.storage, float(factors[0].reshape(-1)[0])))
    return True


def _conv(work: Rewriter, node: Node, op: Conv2d | SignConv2d) -> None:
    """A convolution without an epilogue."""
    count = len(op.weights)
    _convolution(work, node, node, Clamped(np.ones(count), np.zeros(count)))


def _convolution(work: Rewriter, node: Node, source: Node, clamp: Clamped) -> None:
    """Convolution, scale, bias and saturation in one operation."""
    op: Any = source.op
    name, given = work.operand(source.inputs[0])
    out = work.formats[node.output]
    weights = _weights(work, source, clamp, given, node.output)
    scaled = rescaling(given.scale * weights.scale / out.scale, weights.bound)
    low, high = (
        np.clip(np.rint(np.clip(x / out.scale, -1e6, 1e6)), out.low, out.high) for x in (clamp.low, clamp.high)
    )
    fixed = FixedConv2d(
        weights.values, weights.bias, scaled.lift, scaled.multiplier, scaled.shift, op.window, op.groups,
        _padding(op, work.types[name].shape[2], given), out.storage, int(low), int(high), isinstance(op, SignConv2d),
    )  # fmt: skip
    merged = replace(node, origin=origins((source, node)), why=source.why + node.why)
    work.emit(node.output, fixed, (name,), merged)


def _weights(work: Rewriter, source: Node, clamp: Clamped, given: Format, output: str) -> IntegerWeights:
    """8 bits in int8 mode, but 16 for a small layer in front of a threshold: few bytes, many flipped bits less."""
    op: Any = source.op
    if isinstance(op, SignConv2d):
        scale = op.scale.astype(np.float64) * clamp.scale
        bits = op.weights ^ (scale < 0).astype(np.uint8)[:, None, None, None]
        return sign_weights(bits, np.abs(scale), clamp.shift, given)
    real = op.weights.astype(np.float64) * clamp.scale[:, None, None, None]
    largest = WEIGHTS["int16" if output in work.decisive and op.weights.size <= FEW_WEIGHTS else work.real]
    found = integer_weights(real, clamp.shift, given, largest)
    spread = work.calibration.spreads.get(source.inputs[0])
    if spread is None:
        return found
    lost = _mean_error(real, found, spread.mean, op.groups)
    return integer_weights(real, clamp.shift + lost, given, largest)


def _mean_error(real: Array, found: IntegerWeights, mean: Array, groups: int) -> Array:
    """What rounding the weights takes off the mean of every output: added to the bias."""
    error = real - found.values * found.scale[:, None, None, None]
    per_channel = error.sum(axis=(1, 2)).reshape(groups, len(real) // groups, -1)
    return np.asarray((per_channel * mean.reshape(groups, 1, -1)).sum(axis=2).reshape(-1))


def _padding(op: Any, channels: int, given: Format) -> Array | None:  # noqa: ANN401 - Conv2d or SignConv2d
    """The integers around the operand. Raises NotFixed: the operand is made of bytes, and has no such numbers."""
    if not np.any(op.pad_value):
        return None
    whole = np.rint(np.broadcast_to(np.asarray(op.pad_value, np.float64), (channels,)) / given.scale)
    if (whole < -given.reach).any() or (whole > given.high).any():
        raise NotFixed("the padding lies outside of the range of the operand")
    return whole.astype(np.int16)


def _average_pool(work: Rewriter, node: Node, op: AveragePool) -> None:
    name, _ = work.operand(node.inputs[0])
    if not (op.divisors == np.rint(op.divisors)).all():
        raise NotFixed("a divisor is not an integer")
    work.emit(node.output, FixedAveragePool(op.window, op.divisors.astype(np.int32)), (name,), node)


def _reduce(work: Rewriter, node: Node, op: Reduce) -> None:
    """A sum is a mean with a larger scale; a mean gains digits while its range allows."""
    name, given = work.operand(node.inputs[0])
    if op.function in ("max", "min"):
        work.emit(node.output, FixedReduce(op.function), (name,), node)
        return
    if op.function not in ("mean", "sum"):
        raise NotFixed(f"{op.function} has no fixed-point form")
    count = work.types[name].shape[1]
    scale = given.scale * (count if op.function == "sum" else 1)
    wanted = work.formats[node.output]
    digits = int(np.floor(np.log2(scale / (wanted.scale * wanted.high / given.high))))
    room = int(np.floor(np.log2((2**31 - count) / (count * given.reach))))
    fraction = max(0, min(digits, room))
    if room < 0:
        raise NotFixed("the sum does not fit in 32 bits")
    work.settle(node, FixedReduce("mean", fraction), (name,), Format(given.storage, scale / 2.0**fraction))


def _mat_mul(work: Rewriter, node: Node, op: MatMul) -> None:
    (left, one), (right, two) = (work.operand(name) for name in node.inputs)
    out = work.formats[node.output]
    bound = work.types[left].shape[2] * one.reach * two.reach
    drop = max(0, bound.bit_length() - 31)
    scaled = rescaling(np.asarray([one.scale * two.scale * 2.0**drop / out.scale]), bound >> drop)
    if scaled.lift > 1:
        raise NotFixed("the result has more digits than the sum")
    fixed = FixedMatMul(drop, int(scaled.multiplier[0]), int(scaled.shift[0]), out.storage)
    work.emit(node.output, fixed, (left, right), node)


def _same(work: Rewriter, node: Node, op: Concat | MaxPool | ArgMax) -> None:
    """Integers are moved or compared as they are."""
    work.emit(node.output, op, tuple(work.operand(name)[0] for name in node.inputs), node)


def _rearrange(work: Rewriter, node: Node, op: Rearrange) -> None:
    name, given = work.operand(node.inputs[0])
    fill = float(np.clip(np.rint(op.fill / given.scale), given.low, given.high))
    work.emit(node.output, replace(op, fill=fill), (name,), node)


def _softmax(work: Rewriter, node: Node, op: Softmax) -> None:
    if op.logarithm:
        raise NotFixed("the logarithm of a softmax has no fixed-point form")
    name, given = work.operand(node.inputs[0])
    storage = work.formats[node.output].storage
    step = int(min(round(65536 * given.scale * 65535 / REACH), 2**31 - 1))
    work.settle(node, FixedSoftmax(step, storage), (name,), Format(storage, 1.0 / INTEGER_LIMITS[storage][1]))


def _quantize(work: Rewriter, node: Node, op: Quantize) -> None:
    """`scale * q >= t` is `q >= ceil(t / scale)`: exact for the integers."""
    name, given = work.operand(node.inputs[0])
    finite = np.isfinite(op.breaks)
    whole = np.ceil(np.where(finite, op.breaks, 0.0).astype(np.float64) / given.scale)
    breaks = np.where(finite, np.clip(whole, -(2**20), 2**20), op.breaks)
    work.emit(node.output, replace(op, breaks=breaks), (name,), node)


def _embedding(work: Rewriter, node: Node, op: Embedding) -> None:
    ids = node.inputs[0]
    if work.source.types[ids].storage == "f32":
        raise NotFixed("the row numbers are real")
    out = work.formats[node.output]
    kind = {"i16": np.int16, "i8": np.int8, "u8": np.uint8}[out.storage]
    table = np.clip(np.rint(op.table.astype(np.float64) / out.scale), out.low, out.high).astype(kind)
    work.emit(node.output, replace(op, table=table), (ids,), node)


RULES: dict[type[Op], Rule] = {
    Map: _map,
    Conv2d: _conv,
    SignConv2d: _conv,
    AveragePool: _average_pool,
    Reduce: _reduce,
    MatMul: _mat_mul,
    Concat: _same,
    MaxPool: _same,
    ArgMax: _same,
    Rearrange: _rearrange,
    Softmax: _softmax,
    Quantize: _quantize,
    Embedding: _embedding,
}
