"""The same network in the spellings of many exporters: tables of functions, one per spelling.

Every table maps the name of a spelling to a function that appends the nodes and returns the result's name. The
numbers of `models.random_layer` make all of them the same function in float32 arithmetic, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
from models import EPSILON, Array, Layer, Net, column, random_layer

Unary = Callable[[Net, str], str]
HUGE = 1e30


def _where(n: Net, test: str, yes: float, no: float) -> str:
    return n.add("Where", test, yes, no)


def _from_bool(n: Net, test: str) -> str:
    return n.chain(n.cast(test), ("Mul", 2.0), ("Sub", 1.0))


def _sign_01(n: Net, x: str) -> str:
    return n.chain(x, ("Mul", 2.0), ("Sub", 1.0))


def _multi_threshold(n: Net, x: str) -> str:
    steps = np.zeros((1, 1), np.float32)
    domain = "qonnx.custom_op.general"
    return n.add("MultiThreshold", x, steps, domain=domain, out_scale=2.0, out_bias=-1.0, out_dtype="BIPOLAR")


def _quant_1_bit(n: Net, x: str) -> str:
    domain = "qonnx.custom_op.general"
    return n.add("Quant", x, 1.0, 0.0, 1.0, domain=domain, signed=1, narrow=1, rounding_mode="ROUND")


def _quant_2_bit(n: Net, x: str) -> str:
    """Two bits, narrow: -1, 0, 1 of a value that is never near 0."""
    domain = "qonnx.custom_op.general"
    return n.add(
        "Quant", n.add("Mul", x, HUGE), 1.0, 0.0, 2.0, domain=domain, signed=1, narrow=1, rounding_mode="ROUND"
    )


def _q_dq(n: Net, x: str) -> str:
    scale, zero = n.const(np.float32(1 / 127), np.float32), np.int8(0)
    codes = n.add("QuantizeLinear", n.add("Sign", x), scale, zero)
    return n.add("Sign", n.add("DequantizeLinear", codes, scale, zero))


def _full_branches(n: Net, x: str) -> str:
    """Branches of the tensor's shape, computed at run time (torch.ones_like)."""
    shape = n.add("Shape", x)
    ones = n.add("ConstantOfShape", shape, value=onnx.numpy_helper.from_array(np.ones(1, n.dtype)))
    return n.add("Where", n.add("Less", x, 0.0), n.add("Neg", ones), ones)


def _relu_pair(n: Net, x: str) -> str:
    """TensorFlow's PRelu before the sign."""
    negative = n.add("Mul", n.add("Relu", n.add("Neg", x)), -0.25)
    return n.add("Sign", n.add("Add", n.add("Relu", x), negative))


def _detached(n: Net, x: str) -> str:
    """Straight-through estimator as torch writes it: (sign(x) - clip(x)).detach() + clip(x); the sums are rounded."""
    soft = n.clip(x, -1.0, 1.0)
    return n.add("Sign", n.add("Add", n.add("Sub", n.add("Sign", x), soft), soft))


def _min_max_round(n: Net, x: str) -> str:
    return n.chain(n.add("Mul", x, HUGE), ("Max", -1.0), ("Min", 1.0), ("Round",))


ACTIVATIONS: dict[str, Unary] = {
    "sign": lambda n, x: n.add("Sign", x),
    "larq": lambda n, x: n.chain(x, ("Sign",), ("Add", 0.1), ("Sign",)),
    "where_ge": lambda n, x: _where(n, n.add("GreaterOrEqual", x, 0.0), 1.0, -1.0),
    "where_lt": lambda n, x: _where(n, n.add("Less", x, 0.0), -1.0, 1.0),
    "where_swapped_operands": lambda n, x: _where(n, n.add("Less", 0.0, x), 1.0, -1.0),
    "where_not": lambda n, x: _where(n, n.add("Not", n.add("Less", x, 0.0)), 1.0, -1.0),
    "where_le": lambda n, x: _where(n, n.add("LessOrEqual", x, 0.0), -1.0, 1.0),
    "where_full_branches": _full_branches,
    "where_sign_is_zero": lambda n, x: n.add("Where", n.add("Equal", n.add("Sign", x), 0.0), 1.0, n.add("Sign", x)),
    "cast": lambda n, x: _from_bool(n, n.add("Greater", x, 0.0)),
    "cast_not": lambda n, x: _from_bool(n, n.add("Not", n.add("Less", x, 0.0))),
    "cast_int": lambda n, x: n.cast(
        n.chain(n.cast(n.add("Greater", x, 0.0), 7), ("Mul", np.int64(2)), ("Sub", np.int64(1)))
    ),
    "clip_sign": lambda n, x: n.add("Sign", n.clip(x, -1.0, 1.0)),
    "sign_clip": lambda n, x: n.clip(n.add("Sign", x), -1.0, 1.0),
    "round_clip": lambda n, x: n.add("Round", n.clip(n.add("Mul", x, HUGE), -1.0, 1.0)),
    "min_max_round": _min_max_round,
    "dorefa": lambda n, x: _sign_01(n, n.add("Round", n.clip(n.chain(x, ("Mul", HUGE), ("Add", 0.5)), 0.0, 1.0))),
    "relu_sign": lambda n, x: _sign_01(n, n.add("Sign", n.add("Relu", x))),
    "relu_pair": _relu_pair,
    "prelu": lambda n, x: n.add("Sign", n.add("PRelu", x, np.float32([0.25]))),
    "leaky_relu": lambda n, x: n.add("Sign", n.add("LeakyRelu", x, alpha=0.125)),
    "detached": _detached,
    "divided_by_abs": lambda n, x: n.add("Div", x, n.add("Abs", x)),
    "tanh": lambda n, x: n.add("Tanh", n.add("Mul", x, HUGE)),
    "sigmoid_round": lambda n, x: _sign_01(n, n.add("Round", n.add("Sigmoid", n.add("Mul", x, 1e6)))),
    "hard_sigmoid": lambda n, x: _sign_01(n, n.add("Round", n.add("HardSigmoid", x))),
    "bipolar_quant": lambda n, x: n.add("BipolarQuant", x, 1.0, domain="qonnx.custom_op.general"),
    "quant_1_bit": _quant_1_bit,
    "quant_2_bit": _quant_2_bit,
    "multi_threshold": _multi_threshold,
    "q_dq": _q_dq,
}


def _latent(layer: Layer) -> Array:
    """Real weights whose signs are the layer's and whose mean absolute value per output channel is alpha."""
    flat = layer.weights.reshape(len(layer.signs), -1).copy()
    even = flat.shape[1] // 2 * 2
    flat[:, 0:even:2] *= 1.5
    flat[:, 1:even:2] *= 0.5
    return flat.reshape(layer.signs.shape)


def _mean_abs(n: Net, layer: Layer) -> str:
    latent = n.const(_latent(layer))
    axes, size = list(range(1, layer.signs.ndim)), n.add("Abs", latent)
    scale = n.add("ReduceMean", size, axes=axes) if n.opset < 18 else n.add("ReduceMean", size, np.array(axes))
    return n.add("Mul", n.add("Sign", latent), scale)


def _dequantised(n: Net, layer: Layer) -> str:
    scale = n.const(layer.alpha, np.float32)
    zero = np.zeros(len(layer.alpha), np.int8)
    return n.add("DequantizeLinear", layer.signs, scale, zero, axis=0)


def _through_shapes(n: Net, layer: Layer) -> str:
    """Flat and transposed, brought into shape by a chain of nodes."""
    w = layer.weights
    flat = n.const(np.ascontiguousarray(w.T).reshape(-1))
    shaped = n.reshape(n.axes("Unsqueeze", n.add("Identity", flat), 0), *w.shape[::-1])
    return n.add("Transpose", shaped)


WEIGHTS: dict[str, Callable[[Net, Layer], str]] = {
    "folded": lambda n, w: n.const(w.weights),
    "sign": lambda n, w: n.add("Mul", n.add("Sign", _latent(w)), column(w.alpha, w.signs.ndim)),
    "where": lambda n, w: n.add(
        "Mul", _where(n, n.add("GreaterOrEqual", _latent(w), 0.0), 1.0, -1.0), column(w.alpha, w.signs.ndim)
    ),
    "mean_abs": _mean_abs,
    "bipolar_quant": lambda n, w: n.add(
        "BipolarQuant", _latent(w), column(w.alpha, w.signs.ndim), domain="qonnx.custom_op.general"
    ),
    "cast": lambda n, w: n.add("Mul", n.cast(n.const(w.signs)), column(w.alpha, w.signs.ndim)),
    "dequantised": _dequantised,
    "transposed": lambda n, w: n.add("Transpose", np.ascontiguousarray(w.weights.T)),
    "through_shapes": _through_shapes,
    "double": lambda n, w: n.cast(n.const(w.weights, np.float64)),
}


def _bn_mul_add(n: Net, x: str, w: Layer, rank: int) -> str:
    shift = w.beta - w.mean * w.factor
    return n.add("Add", n.add("Mul", x, _along(w.factor, rank)), _along(shift, rank))


def _bn_chain(n: Net, x: str, w: Layer, rank: int) -> str:
    deviation = n.add("Sqrt", n.add("Add", _along(w.var, rank), EPSILON))
    normal = n.add("Div", n.add("Sub", x, _along(w.mean, rank)), deviation)
    return n.chain(normal, ("Mul", _along(w.gamma, rank)), ("Add", _along(w.beta, rank)))


def _bn_power(n: Net, x: str, w: Layer, rank: int) -> str:
    inverse = n.add("Reciprocal", n.add("Pow", n.add("Add", _along(w.var, rank), EPSILON), 0.5))
    scale = n.add("Mul", inverse, _along(w.gamma, rank))
    moved = n.add("Sub", _along(w.beta, rank), n.add("Mul", _along(w.mean, rank), scale))
    return n.add("Add", n.add("Mul", x, scale), moved)


def _bn_five_outputs(n: Net, x: str, w: Layer, _: int) -> str:
    return n.add("BatchNormalization", x, w.gamma, w.beta, w.mean, w.var, epsilon=EPSILON, count=5)


def _bn_unsqueezed(n: Net, x: str, w: Layer, rank: int) -> str:
    """BatchNorm1d the long way round: a spatial axis appears and goes."""
    if rank > 2:
        return _bn_op(n, x, w, rank)
    return n.axes("Squeeze", _bn_op(n, n.axes("Unsqueeze", x, 2), w, 3), 2)


def _bn_op(n: Net, x: str, w: Layer, _: int) -> str:
    return n.add("BatchNormalization", x, w.gamma, w.beta, w.mean, w.var, epsilon=EPSILON)


def _along(values: Array, rank: int) -> Array:
    """[C] for axis 1 of a tensor of that rank."""
    return values.reshape(-1, *[1] * (rank - 2)).astype(np.float32)


NORMS: dict[str, Callable[[Net, str, Layer, int], str]] = {
    "op": _bn_op,
    "mul_add": _bn_mul_add,
    "chain": _bn_chain,
    "power": _bn_power,
    "unsqueezed": _bn_unsqueezed,
}


def fused(layer: Layer) -> tuple[Layer, Array]:
    """BatchNormalization folded into the weights: alpha becomes signed, and there is a bias."""
    flip = column(np.sign(layer.factor), layer.signs.ndim)
    scaled = replace(
        layer, signs=(layer.signs * flip).astype(np.int8), alpha=(layer.alpha * np.abs(layer.factor)).astype(np.float32)
    )
    return scaled, (layer.beta - layer.mean * layer.factor).astype(np.float32)


Dense = Callable[[Net, str, str, Array, "tuple[int, int]"], str]


def _gemm_trans_a(n: Net, x: str, w: str, bias: Array, _: tuple[int, int]) -> str:
    return n.add("Gemm", n.add("Transpose", x, perm=[1, 0]), w, bias, transA=1, transB=1)


def _as_conv(n: Net, x: str, w: str, bias: Array, shape: tuple[int, int]) -> str:
    image = n.axes("Unsqueeze", x, 2, 3)
    made = n.add("Conv", image, n.axes("Unsqueeze", w, 2, 3), bias, kernel_shape=[1, 1])
    return n.reshape(made, 1, shape[0])


def _as_conv1d(n: Net, x: str, w: str, bias: Array, shape: tuple[int, int]) -> str:
    return n.axes("Squeeze", n.add("Conv", n.axes("Unsqueeze", x, 2), n.axes("Unsqueeze", w, 2), bias), 2)


def _t(n: Net, w: str) -> str:
    return n.add("Transpose", w, perm=[1, 0])


DENSE: dict[str, Dense] = {
    "matmul": lambda n, x, w, b, _: n.add("Add", n.add("MatMul", x, _t(n, w)), b),
    "bias_first": lambda n, x, w, b, _: n.add("Add", b, n.add("MatMul", x, _t(n, w))),
    "matmul_left": lambda n, x, w, b, _: n.add("Add", _t(n, n.add("MatMul", w, _t(n, x))), b),
    "gemm": lambda n, x, w, b, _: n.add("Gemm", x, _t(n, w), b),
    "gemm_trans_b": lambda n, x, w, b, _: n.add("Gemm", x, w, b, transB=1),
    "gemm_trans_a": _gemm_trans_a,
    "gemm_factors": lambda n, x, w, b, _: n.add("Gemm", x, n.add("Mul", w, 2.0), b * 4, transB=1, alpha=0.5, beta=0.25),
    "gemm_no_bias": lambda n, x, w, b, _: n.add("Add", n.add("Gemm", x, w, transB=1), b),
    "einsum": lambda n, x, w, b, _: n.add("Add", n.add("Einsum", x, w, equation="bi,oi->bo"), b),
    "conv_1x1": _as_conv,
    "conv_1d": _as_conv1d,
}


def _auto(mode: str) -> Callable[[Net, str, str, Array], str]:
    return lambda n, x, w, b: n.add("Conv", x, w, b, auto_pad=mode)


def _channels_last(n: Net, x: str, w: str, b: Array) -> str:
    """tf2onnx: the graph is NHWC, every Conv between two Transposes."""
    there = n.add("Transpose", n.add("Transpose", x, perm=[0, 2, 3, 1]), perm=[0, 3, 1, 2])
    made = n.add("Conv", there, w, b, pads=[1, 1, 1, 1])
    return n.add("Transpose", n.add("Transpose", made, perm=[0, 2, 3, 1]), perm=[0, 3, 1, 2])


def _padded(n: Net, x: str, w: str, b: Array) -> str:
    return n.add("Conv", n.pad(x, [0, 0, 1, 1, 0, 0, 1, 1], 0.0), w, b)


def _padded_partly(n: Net, x: str, w: str, b: Array) -> str:
    return n.add("Conv", n.pad(x, [0, 0, 1, 0, 0, 0, 0, 1], 0.0), w, b, pads=[0, 1, 1, 0])


CONVOLUTIONS: dict[str, Callable[[Net, str, str, Array], str]] = {
    "pads": lambda n, x, w, b: n.add("Conv", x, w, b, pads=[1, 1, 1, 1]),
    "bias_added": lambda n, x, w, b: n.add("Add", n.add("Conv", x, w, pads=[1, 1, 1, 1]), b.reshape(1, -1, 1, 1)),
    "pad_op": _padded,
    "pad_op_and_pads": _padded_partly,
    "same_upper": _auto("SAME_UPPER"),
    "same_lower": _auto("SAME_LOWER"),
    "channels_last": _channels_last,
}


def _computed_shape(n: Net, x: str) -> str:
    """x.view(x.size(0), -1) as torch traces it."""
    batch = n.add("Gather", n.add("Shape", x), np.int64(0), axis=0)
    shape = n.add("Concat", n.axes("Unsqueeze", batch, 0), np.array([-1]), axis=0)
    return n.add("Reshape", x, shape)


def _computed_product(n: Net, x: str) -> str:
    """Reshape to [1, product of the other dimensions]."""
    shape = n.add("Shape", x)
    parts = [n.add("Gather", shape, np.array([i]), axis=0) for i in (1, 2, 3)]
    size = n.add("Mul", n.add("Mul", parts[0], parts[1]), parts[2])
    return n.add("Reshape", x, n.add("Concat", np.array([1]), size, axis=0))


FLATTEN: dict[str, Unary] = {
    "flatten": lambda n, x: n.add("Flatten", x),
    "flatten_negative": lambda n, x: n.add("Flatten", x, axis=-3),
    "reshape_zero": lambda n, x: n.reshape(x, 0, -1),
    "reshape_one": lambda n, x: n.reshape(x, 1, -1),
    "computed": _computed_shape,
    "computed_product": _computed_product,
    "twice": lambda n, x: n.reshape(n.reshape(x, 0, 0, -1), 1, -1),
    "identity": lambda n, x: n.add("Identity", n.add("Flatten", n.add("Dropout", x))),
}


@dataclass(frozen=True)
class Spelling:
    """One choice from each table; `fuse` folds BatchNormalization into the weights."""

    act: str = "sign"
    weight: str = "folded"
    norm: str = "op"
    fuse: bool = False
    dense: str = "gemm_trans_b"
    conv: str = "pads"
    flatten: str = "flatten"
    pool_last: bool = False
    opset: int = 17
    dtype: type = np.float32

    def net(self) -> Net:
        return Net(self.opset, self.dtype)


@dataclass(frozen=True)
class Network:
    """Random parameters of an MLP (no convolutions) or a CNN of 3x3 convolutions with 2x2 pooling."""

    size: int
    convs: list[Layer] = field(default_factory=list)
    denses: list[Layer] = field(default_factory=list)


def random_mlp(seed: int, *widths: int) -> Network:
    rng = np.random.default_rng(seed)
    return Network(0, [], [random_layer(rng, o, i) for i, o in zip(widths[:-1], widths[1:], strict=True)])


def random_cnn(seed: int, size: int, channels: tuple[int, ...], *widths: int) -> Network:
    rng = np.random.default_rng(seed)
    convs = [random_layer(rng, o, i, 3, 3) for i, o in zip(channels[:-1], channels[1:], strict=True)]
    flat = channels[-1] * (size >> len(convs)) ** 2
    return Network(size, convs, [random_layer(rng, o, i) for i, o in zip((flat, *widths[:-1]), widths, strict=True)])


def write(network: Network, how: Spelling) -> onnx.ModelProto:
    """The network in one spelling: input x, class scores y."""
    n = how.net()
    first = [1, network.convs[0].signs.shape[1], network.size, network.size] if network.convs else None
    x = n.add("Sub", n.input(first or [1, network.denses[0].signs.shape[1]]), 0.5)
    for layer in network.convs:
        x = _conv_block(n, x, layer, how)
    if network.convs:
        x = FLATTEN[how.flatten](n, x)
    for layer in network.denses[:-1]:
        x = _layer(n, ACTIVATIONS[how.act](n, x), layer, how, 2)
    last = network.denses[-1]
    weights, x = WEIGHTS[how.weight](n, last), ACTIVATIONS[how.act](n, x)
    y = DENSE[how.dense](n, x, weights, last.beta, last.signs.shape)
    return n.model(n.named(y, "y"), shape=[1, len(last.alpha)])


def _conv_block(n: Net, x: str, layer: Layer, how: Spelling) -> str:
    """Convolution, normalisation and max pooling, in front of the next sign or behind it."""
    x = ACTIVATIONS[how.act](n, x)
    weights, bias = fused(layer) if how.fuse else (layer, np.zeros(len(layer.alpha), np.float32))
    x = CONVOLUTIONS[how.conv](n, x, WEIGHTS[how.weight](n, weights), bias)
    x = x if how.fuse else NORMS[how.norm](n, x, layer, 4)
    x = ACTIVATIONS[how.act](n, x) if how.pool_last else x
    return n.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])


def _layer(n: Net, x: str, layer: Layer, how: Spelling, rank: int) -> str:
    weights, bias = fused(layer) if how.fuse else (layer, np.zeros(len(layer.alpha), np.float32))
    x = DENSE[how.dense](n, x, WEIGHTS[how.weight](n, weights), bias, layer.signs.shape)
    return x if how.fuse else NORMS[how.norm](n, x, layer, rank)
