"""Networks that are measured: one binary layer of each shape, and whole networks; random weights, half of them +1.

Every network takes floats, binarises them with `x >= 0`, runs the measured layer and a small layer behind it that
reads its bits (of one pixel), so that the measured layer is binary on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEED = 20_240_229
OPSET = 17


@dataclass(frozen=True)
class Conv:
    """A convolution; `dense` layers have a 1x1 input."""

    inputs: int = 64
    outputs: int = 64
    size: int = 16
    kernel: int = 3
    stride: int = 1
    pad: int = 1
    dense: bool = False

    @property
    def output_size(self) -> int:
        """Height and width of the output."""
        return (self.size + 2 * self.pad - self.kernel) // self.stride + 1

    @property
    def macs(self) -> int:
        """Binary multiply-accumulates, padding included."""
        return self.inputs * self.outputs * (1 if self.dense else (self.output_size * self.kernel) ** 2)


LAYERS = {
    "C": Conv(),
    "F": Conv(1024, 1024, dense=True),
    "C stride 2": Conv(stride=2),
    "C 20x20": Conv(size=20),
    "C 14x14": Conv(size=14),
    "C 48->96": Conv(48, 96),
    "C 1x1": Conv(kernel=1, pad=0),
    "C 5x5": Conv(kernel=5, pad=2),
}
TITLES = {
    "C": "3x3, 64 to 64 channels, 16x16, zero padding 1",
    "F": "dense 1024 to 1024",
    "CNV_1W1A": "six 3x3 convolutions, two poolings, three dense layers on 32x32x3, as in BNN-PYNQ's CNV",
}


class Builder:
    """Collects nodes and constants of a graph with the input x."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(SEED)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: object) -> str:
        """A float constant; its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def add(self, op: str, *inputs: str, **attributes: object) -> str:
        """A node; the name of its output."""
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], f"{op.lower()}_{len(self.nodes)}", **attributes))
        return output

    def sign(self, x: str) -> str:
        """+1 where x >= 0, else -1."""
        return self.add("Where", self.add("GreaterOrEqual", x, self.constant(0)), self.constant(1), self.constant(-1))

    def weights(self, *shape: int) -> str:
        """Random -1 and +1."""
        return self.constant(self.rng.integers(0, 2, shape) * 2 - 1)

    def conv(self, x: str, layer: Conv) -> str:
        """A convolution with a random threshold per channel, up to and including the sign."""
        weights = self.weights(layer.outputs, layer.inputs, layer.kernel, layer.kernel)
        pads, strides = [layer.pad] * 4, [layer.stride] * 2
        return self._threshold(self.add("Conv", x, weights, pads=pads, strides=strides), layer.outputs, (1, 1))

    def dense(self, x: str, inputs: int, outputs: int) -> str:
        """A dense layer with a random threshold per output, up to and including the sign."""
        return self._threshold(self.add("MatMul", x, self.weights(inputs, outputs)), outputs, ())

    def logits(self, x: str, inputs: int, outputs: int) -> str:
        """A dense layer whose sums are the network's output."""
        return self.add("MatMul", x, self.weights(inputs, outputs))

    def _threshold(self, sums: str, channels: int, after: tuple[int, ...]) -> str:
        shift = self.rng.integers(-20, 20, (channels, *after)) + 0.5
        return self.sign(self.add("Add", sums, self.constant(shift)))

    def model(self, shape: list[int], output: str, output_shape: list[int]) -> onnx.ModelProto:
        """The finished model; `shape` is that of the input."""
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        y = helper.make_tensor_value_info(output, TensorProto.FLOAT, output_shape)
        graph = helper.make_graph(self.nodes, "bench", [x], [y], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 8
        return model


def one_layer(layer: Conv) -> onnx.ModelProto:
    """The layer between a sign and a small binary layer."""
    net = Builder()
    if layer.dense:
        hidden = net.dense(net.sign("x"), layer.inputs, layer.outputs)
        return net.model([1, layer.inputs], net.logits(hidden, layer.outputs, 10), [1, 10])
    hidden = net.conv(net.sign("x"), layer)
    tail = net.add("Conv", hidden, net.weights(32, layer.outputs, 1, 1), strides=[layer.output_size] * 2)
    return net.model([1, layer.inputs, layer.size, layer.size], tail, [1, 32, 1, 1])


def cnv() -> onnx.ModelProto:
    """The shape of BNN-PYNQ's CNV_1W1A on 32x32 RGB images, 57 million binary MACs; weights are random."""
    net = Builder()
    x = "x"
    for inputs, outputs, pooled in ((3, 64, 0), (64, 64, 1), (64, 128, 0), (128, 128, 1), (128, 256, 0), (256, 256, 0)):
        x = net.conv(x, Conv(inputs, outputs, pad=0))
        x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]) if pooled else x
    x = net.add("Flatten", x)
    x = net.dense(net.dense(x, 256, 512), 512, 512)
    return net.model([1, 3, 32, 32], net.logits(x, 512, 10), [1, 10])
