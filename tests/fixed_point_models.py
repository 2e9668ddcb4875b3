"""Small networks that mix binary and real layers, for the tests of fixed point: seeded random weights, 12x12 pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]


class Net:
    """Collects nodes and constants; every method returns the name of its result."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, value: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def channels(self, count: int, low: float, high: float) -> str:
        return self.const(self.rng.uniform(low, high, (1, count, 1, 1)).astype(np.float32))

    def conv(self, x: str, given: int, made: int, size: int = 3, binary: bool = False, **attributes: Any) -> str:
        weights = self.rng.standard_normal((made, given, size, size)).astype(np.float32)
        weights = np.where(weights > 0, 1, -1).astype(np.float32) if binary else weights / np.sqrt(given * size * size)
        bias = [] if binary else [self.const(self.rng.standard_normal(made).astype(np.float32) * 0.1)]
        return self.node("Conv", x, self.const(weights.astype(np.float32)), *bias, pads=[size // 2] * 4, **attributes)

    def norm(self, x: str, count: int, spread: float) -> str:
        """Batch normalisation of a sum with that standard deviation, to about 1."""
        rng = self.rng
        made = [rng.uniform(0.7, 1.3, count), rng.normal(0, 0.2, count), rng.normal(0, 0.3 * spread, count)]
        variance = spread**2 * self.rng.uniform(0.7, 1.3, count)
        parts = [self.const(v.astype(np.float32)) for v in (*made, variance)]
        return self.node("BatchNormalization", x, *parts)

    def sign(self, x: str) -> str:
        positive = self.node("GreaterOrEqual", x, self.const(np.float32(0)))
        return self.node("Where", positive, self.const(np.float32(1)), self.const(np.float32(-1)))

    def prelu(self, x: str, count: int) -> str:
        slope = self.const(self.rng.uniform(0.1, 0.4, (count, 1, 1)).astype(np.float32))
        return self.node("PRelu", x, slope)

    def dense(self, x: str, given: int, made: int, output: str) -> str:
        flat = self.node("Flatten", self.node("GlobalAveragePool", x))
        weights = self.const((self.rng.standard_normal((made, given)) * 3).astype(np.float32))
        bias = self.const(self.rng.standard_normal(made).astype(np.float32) * 0.1)
        return self.node("Gemm", flat, weights, bias, output=output, transB=1)

    def model(self, output: str, shape: list[int], kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 12, 12])],
            [helper.make_tensor_value_info(output, kind, shape)],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def bireal() -> onnx.ModelProto:
    """Bi-Real Net: a shortcut around every binary convolution, average pool and 1x1 convolution where it shrinks."""
    net = Net(1)
    x = net.node("Relu", net.norm(net.conv("image", 1, 16), 16, 0.6))
    x = net.norm(x, 16, 0.6)
    for _ in range(2):
        x = net.node("Add", net.norm(net.conv(net.sign(x), 16, 16, binary=True), 16, 12.0), x)
    shortcut = net.conv(net.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), 16, 24, 1)
    x = net.node("Add", net.norm(net.conv(net.sign(x), 16, 24, binary=True, strides=[2, 2]), 24, 12.0), shortcut)
    return _classified(net, x, 24)


def reactnet() -> onnx.ModelProto:
    """ReActNet: shifts before the sign, RPReLU behind the shortcut."""
    net = Net(2)
    x = net.norm(net.conv("image", 1, 16), 16, 0.6)
    for _ in range(2):
        moved = net.node("Add", x, net.channels(16, -0.2, 0.2))
        sums = net.norm(net.conv(net.sign(moved), 16, 16, binary=True), 16, 12.0)
        x = net.node("Add", sums, x)
        inner = net.node("Sub", x, net.channels(16, -0.2, 0.2))
        x = net.node("Add", net.prelu(inner, 16), net.channels(16, -0.2, 0.2))
    return _classified(net, x, 16)


def xnornet_k() -> onnx.ModelProto:
    """XNOR-Net: the mean of |x| over channels, smoothed by a box filter, scales the binary convolution at run time."""
    net = Net(3)
    x = net.node("Relu", net.norm(net.conv("image", 1, 16), 16, 0.6))
    x = net.norm(x, 16, 0.6)
    size = net.node("ReduceMean", net.node("Abs", x), axes=[1], keepdims=1)
    box = net.const(np.full((1, 1, 3, 3), 1 / 9, np.float32))
    scale = net.node("Conv", size, box, pads=[1, 1, 1, 1])
    binary = net.norm(net.conv(net.sign(x), 16, 24, binary=True), 24, 12.0)
    return _classified(net, net.node("Relu", net.node("Mul", binary, scale)), 24)


def real_head() -> onnx.ModelProto:
    """Real layers of every kind around one binary convolution; the answer is an integer."""
    net = Net(4)
    x = net.norm(net.conv("image", 1, 8), 8, 0.6)
    x = net.conv(net.sign(x), 8, 12, binary=True)
    x = net.node("Sigmoid", net.norm(x, 12, 8.0))
    wide = net.node("Relu", net.conv(x, 12, 12, group=1))
    blur = net.const(net.rng.standard_normal((12, 1, 3, 3)).astype(np.float32))
    deep = net.node("Conv", wide, blur, group=12)
    x = net.node(
        "Concat",
        net.node("MaxPool", deep, kernel_shape=[2, 2], strides=[2, 2]),
        net.node("AveragePool", net.node("Tanh", deep), kernel_shape=[2, 2], strides=[2, 2]),
        axis=1,
    )
    logits = net.dense(x, 24, 10, "logits")
    soft = net.node("Softmax", logits, axis=1)
    net.node("ArgMax", soft, output="label", axis=1, keepdims=0)
    return net.model("label", [1], TensorProto.INT64)


def _classified(net: Net, x: str, channels: int) -> onnx.ModelProto:
    return net.model(net.dense(x, channels, 10, "logits"), [1, 10])
