"""Error bounds of the operations that compute real numbers, one rule each: `rule(op, inputs, value)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from bnn2c.ir import Op
from bnn2c.ops.average_pool import AveragePool
from bnn2c.ops.concat import Concat
from bnn2c.ops.conv2d import Conv2d
from bnn2c.ops.embedding import Embedding
from bnn2c.ops.mat_mul import MatMul
from bnn2c.ops.max_pool import MaxPool
from bnn2c.ops.rearrange import Rearrange
from bnn2c.ops.reduce import Reduce
from bnn2c.ops.sign_conv2d import SignConv2d, SignedSums
from bnn2c.ops.softmax import Softmax
from bnn2c.ops.ternary_conv2d import TernaryConv2d
from bnn2c.verify.bounded import (
    LEAST,
    UNIT,
    ZERO,
    Array,
    Bounded,
    exact_sum,
    inexact,
    product_sum,
    summation,
)

__all__ = ["error_of", "full_error"]

Inputs = Sequence[Bounded]


def error_of(op: Op, inputs: Inputs, value: Array) -> Array:
    """The error bound of the result of an operation."""
    return np.broadcast_to(_RULES.get(type(op), _unknown)(op, inputs, value), value.shape)


def full_error(x: Bounded) -> Array:
    """The error of every element."""
    return np.broadcast_to(x.error, x.value.shape)


def _conv2d(op: Conv2d, inputs: Inputs, value: Array) -> Array:
    """Summation error, and the inputs' errors through the magnitudes of the weights."""
    pad = np.abs(np.asarray(op.pad_value, np.float64))
    size = replace(op, weights=np.abs(op.weights), pad_value=pad if pad.ndim else float(pad))
    return _linear(replace(size, pad_value=0.0), size, inputs[0], op.weights, op.weights[0].size)


def _sign_conv2d(op: SignedSums, inputs: Inputs, value: Array) -> Array:
    """Additions and subtractions, then one rounding for the scale."""
    scale = np.abs(op.scale.astype(np.float64))
    sizes = np.zeros_like(op.weights) if isinstance(op, SignConv2d) else np.abs(op.weights)
    plain = replace(op, weights=sizes, scale=np.ones_like(op.scale), pad_value=abs(op.pad_value))
    error = _linear(replace(plain, pad_value=0.0), plain, inputs[0], np.ones(1), op.weights[0].size) * scale
    return error if (scale == 1).all() else error + UNIT * np.abs(value) + LEAST


def _linear(through: Op, size: Op, x: Bounded, weights: Array, terms: int) -> Array:
    magnitude = size.reference(np.abs(x.value)).astype(np.float64)
    if not x.error.any():
        if exact_sum(x.value, weights, float(magnitude.max(initial=0.0))):
            return ZERO
        return product_sum(magnitude, terms)
    return np.asarray(through.reference(full_error(x)) * (1 + UNIT) + product_sum(magnitude, terms))


def _mat_mul(op: MatMul, inputs: Inputs, value: Array) -> Array:
    left, right = (np.abs(x.value.astype(np.float64)) for x in inputs)
    error_left, error_right = full_error(inputs[0]), full_error(inputs[1])
    magnitude = op.reference(left, right).astype(np.float64)
    if not (error_left.any() or error_right.any()) and exact_sum(left, right, float(magnitude.max(initial=0.0))):
        return ZERO
    moved = op.reference(left + error_left, error_right) + op.reference(error_left, right)
    return np.asarray(moved + product_sum(magnitude, left.shape[2]))


def _reduce(op: Reduce, inputs: Inputs, value: Array) -> Array:
    """Sums and means add errors; of a maximum the largest counts; a product is treated by relative errors."""
    x, error = inputs[0].value.astype(np.float64), full_error(inputs[0])
    terms = x.shape[1]
    if op.function in ("max", "min"):
        extreme = getattr(np, op.function)
        middle, low, high = (extreme(x + sign * error, axis=1, keepdims=True) for sign in (0, -1, 1))
        return np.asarray(np.maximum(middle - low, high - middle))
    if op.function == "prod":
        relative = (error / np.maximum(np.abs(x), np.finfo(np.float32).tiny)).sum(axis=1, keepdims=True)
        return np.asarray(np.abs(value) * (relative + terms * UNIT))
    magnitude = np.abs(x).sum(axis=1, keepdims=True)
    own = 0.0 if exact_sum(x, np.ones(1), float(magnitude.max(initial=0.0))) else magnitude * summation(terms)
    total = np.asarray(error.sum(axis=1, keepdims=True) + own)
    return total / terms + inexact(value, x.sum(axis=1, keepdims=True) / terms) if op.function == "mean" else total


def _average(op: AveragePool, inputs: Inputs, value: Array) -> Array:
    terms = op.window.kernel[0] * op.window.kernel[1]
    error = op.reference(full_error(inputs[0])) if inputs[0].error.any() else 0.0
    return np.asarray(error + op.reference(np.abs(inputs[0].value)).astype(np.float64) * summation(terms))


def _softmax(op: Softmax, inputs: Inputs, value: Array) -> Array:
    """Each logit at one end of its interval and all others at the other end; masked logits do not count."""
    real, error = inputs[0].value.astype(np.float64), full_error(inputs[0])
    own = summation(value.shape[2]) * (1 + np.abs(value) if op.logarithm else np.abs(value))
    if not error.any():
        return np.asarray(own)
    low, high = real - error, real + error
    with np.errstate(invalid="ignore", divide="ignore"):
        ends = [end - np.logaddexp(end, _log_others(other)) for end, other in ((low, high), (high, low))]
        moved = np.maximum(*(np.abs((end if op.logarithm else np.exp(end)) - value) for end in ends))
    return np.asarray(np.nan_to_num(moved, nan=0.0, posinf=0.0) + own)


def _log_others(logits: Array) -> Array:
    """The logarithm of the sum of the exponentials of all other elements, which may be far below the largest."""
    largest = logits.max(axis=2, keepdims=True)
    first = np.arange(logits.shape[2]) == logits.argmax(axis=2)[..., None]
    behind = np.logaddexp.reduce(np.where(first, -np.inf, logits), axis=2, keepdims=True)
    parts = np.exp(logits - largest)
    return np.where(first, behind, largest + np.log(parts.sum(axis=2, keepdims=True) - parts))


def _max_pool(op: MaxPool, inputs: Inputs, value: Array) -> Array:
    """What the ends of the intervals give: numbers that never win do not count."""
    real, error = inputs[0].value.astype(np.float64), full_error(inputs[0])
    with np.errstate(invalid="ignore"):  # a window outside of the input: -inf
        found = np.maximum(op.reference(real + error) - value, value - op.reference(real - error))
    return np.asarray(np.nan_to_num(found, nan=0.0, posinf=0.0))


def _moved(op: Op, inputs: Inputs, value: Array) -> Array:
    """Errors go where the elements go."""
    plain = replace(op, fill=0.0) if isinstance(op, Rearrange) else op
    return np.asarray(plain.reference(*(full_error(x).astype(np.float64) for x in inputs)))


def _exact(op: Op, inputs: Inputs, value: Array) -> Array:
    return ZERO


def _unknown(op: Op, inputs: Inputs, value: Array) -> Array:
    """An operation without a rule: its largest input error and one rounding, never more."""
    return max((float(x.error.max(initial=0.0)) for x in inputs), default=0.0) + UNIT * np.abs(value)


_RULES: dict[type[Op], Callable[..., Array]] = {
    Conv2d: _conv2d,
    SignConv2d: _sign_conv2d,
    TernaryConv2d: _sign_conv2d,
    MatMul: _mat_mul,
    Reduce: _reduce,
    AveragePool: _average,
    Softmax: _softmax,
    MaxPool: _max_pool,
    Rearrange: _moved,
    Concat: _moved,
    Embedding: _exact,
}
