"""Builds ONNX models for the tests: a node collector, random BNN parameters, and the onnxruntime reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bnn2c.importer import load_model
from bnn2c.options import Options
from bnn2c.pipeline import Compiled, compile_model

Array = np.ndarray[Any, Any]
EPSILON = 2.0**-10
SCALE = 1 / 255
ELEMENTS = {np.float32: TensorProto.FLOAT, np.float16: TensorProto.FLOAT16, np.float64: TensorProto.DOUBLE}


class Net:
    """Collects nodes; operands are value names, arrays, or numbers in the network's element type."""

    def __init__(self, opset: int = 17, dtype: type = np.float32) -> None:
        self.opset = opset
        self.dtype = dtype
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.domains: set[str] = set()

    @property
    def element(self) -> int:
        return ELEMENTS[self.dtype]

    def input(self, shape: Sequence[int | str | None], name: str = "x", element: int | None = None) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, element or self.element, list(shape)))
        return name

    def const(self, value: object, dtype: type | None = None) -> str:
        array = np.asarray(value)
        if dtype or array.dtype.kind == "f":
            array = array.astype(dtype or self.dtype)
        name = f"c{len(self.constants)}"
        self.constants[name] = array
        return name

    def add(self, op: str, *operands: object, domain: str = "", count: int = 1, name: str = "", **attrs: Any) -> str:
        """Append a node; the name of its first output."""
        inputs = [o if isinstance(o, str) else self.const(o) for o in operands]
        outputs = [f"v{len(self.nodes)}" + (f"_{i}" if i else "") for i in range(count)]
        name = name or f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, outputs, name, domain=domain, **attrs))
        self.domains |= {domain} - {""}
        return outputs[0]

    def chain(self, x: str, *steps: tuple[Any, ...]) -> str:
        """`("Mul", 2.0)` stands for Mul(x, 2.0), and so on for every step."""
        for op, *operands in steps:
            x = self.add(op, x, *operands)
        return x

    def clip(self, x: str, low: float, high: float) -> str:
        return self.add("Clip", x, low, high) if self.opset >= 11 else self.add("Clip", x, min=low, max=high)

    def pad(self, x: str, pads: Sequence[int], value: float) -> str:
        if self.opset >= 11:
            return self.add("Pad", x, np.array(pads, np.int64), value)
        return self.add("Pad", x, pads=list(pads), value=value)

    def axes(self, op: str, x: str, *axes: int) -> str:
        """Squeeze or Unsqueeze."""
        return self.add(op, x, np.array(axes)) if self.opset >= 13 else self.add(op, x, axes=list(axes))

    def reshape(self, x: str, *shape: int) -> str:
        return self.add("Reshape", x, np.array(shape))

    def cast(self, x: str, element: int | None = None) -> str:
        return self.add("Cast", x, to=element or self.element)

    def named(self, value: str, name: str) -> str:
        """Give the output of the last node another name."""
        assert self.nodes[-1].output[0] == value
        self.nodes[-1].output[0] = name
        return name

    def model(
        self, *outputs: str, shape: Sequence[int | str] | None = None, element: int | None = None, name: str = "net"
    ) -> onnx.ModelProto:
        """The model; output shapes are inferred unless given."""
        graph = helper.make_graph(
            self.nodes, name, self.inputs,
            [helper.make_tensor_value_info(o, element or self.element, shape) for o in outputs],
            [numpy_helper.from_array(a, k) for k, a in self.constants.items()],
        )  # fmt: skip
        imports = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(d, 1) for d in sorted(self.domains))]
        model = helper.make_model(graph, opset_imports=imports, ir_version=3 if self.opset < 9 else 8)
        if self.opset < 9:
            _also_inputs(model.graph)
        return onnx.shape_inference.infer_shapes(model) if shape is None else model


def _also_inputs(graph: onnx.GraphProto) -> None:
    """Before IR version 4, initialisers had to be graph inputs too."""
    for tensor in graph.initializer:
        graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))


@dataclass(frozen=True)
class Layer:
    """Two-valued weights `alpha[o] * signs[o, …]` and a BatchNormalization, or a bias instead of it.

    All numbers are such that every float32 operation on them is exact, however the layer is spelled, and no
    pre-activation is 0: gamma / sigma * (alpha * dot - mean) lies on multiples of 1/16 and beta between them.
    """

    signs: Array
    alpha: Array
    gamma: Array
    beta: Array
    mean: Array
    var: Array

    @property
    def weights(self) -> Array:
        return (self.signs * column(self.alpha, self.signs.ndim)).astype(np.float32)

    @property
    def factor(self) -> Array:
        """gamma / sigma."""
        return self.gamma / np.sqrt(self.var.astype(np.float64) + EPSILON)


def column(values: Array, rank: int) -> Array:
    """[O] -> [O, 1, …] of `rank` dimensions."""
    return values.reshape(-1, *[1] * (rank - 1))


def random_layer(rng: np.random.Generator, *shape: int) -> Layer:
    out = shape[0]
    return Layer(
        signs=rng.choice([-1, 1], shape).astype(np.int8),
        alpha=rng.choice([0.25, 0.5, 1.0], out).astype(np.float32),
        gamma=(rng.choice([0.5, 1.0], out) * rng.choice([-1, 1], out)).astype(np.float32),
        beta=(rng.integers(-24, 24, out) / 16 + 1 / 32).astype(np.float32),
        mean=(rng.integers(-16, 16, out) / 4).astype(np.float32),
        var=(rng.choice([1.0, 4.0], out) - EPSILON).astype(np.float32),
    )


def batch_norm(n: Net, x: str, layer: Layer) -> str:
    return n.add("BatchNormalization", x, layer.gamma, layer.beta, layer.mean, layer.var, epsilon=EPSILON)


def mlp(
    seed: int = 0, widths: Sequence[int] = (100, 33, 17, 10), opset: int = 17, decide: bool = False
) -> onnx.ModelProto:
    """sign -> dense -> BN -> sign -> … -> dense -> bias [-> whether it is positive]."""
    rng, n = np.random.default_rng(seed), Net(opset)
    x = n.add("Sub", n.input([1, widths[0]]), 0.5)
    for fan_in, fan_out in zip(widths[:-2], widths[1:-1], strict=True):
        layer = random_layer(rng, fan_out, fan_in)
        x = batch_norm(n, n.add("MatMul", n.add("Sign", x), layer.weights.T), layer)
    last = random_layer(rng, *widths[:-3:-1])
    return _finish(n, n.chain(n.add("Sign", x), ("MatMul", last.weights.T), ("Add", last.beta)), decide)


def _finish(n: Net, logits: str, decide: bool) -> onnx.ModelProto:
    return n.model(n.add("Greater", logits, 0.0), element=TensorProto.BOOL) if decide else n.model(logits)


def cnn(
    seed: int = 0, *, size: int = 12, channels: Sequence[int] = (1, 17, 33), real_first: bool = False,
    decide: bool = False,
) -> onnx.ModelProto:  # fmt: skip
    """Conv blocks of 3x3 with zero padding and max pooling, then a dense layer; the first layer binary or real."""
    rng, n = np.random.default_rng(seed), Net()
    x = n.add("Sub", n.input([1, channels[0], size, size]), 0.5)
    for number, (fan_in, fan_out) in enumerate(zip(channels[:-1], channels[1:], strict=True)):
        layer = random_layer(rng, fan_out, fan_in, 3, 3)
        real = real_first and number == 0
        weights = rng.standard_normal(layer.signs.shape) if real else layer.weights
        x = n.add("Conv", x if real else n.add("Sign", x), weights, pads=[1, 1, 1, 1])
        x = n.add("MaxPool", batch_norm(n, x, layer), kernel_shape=[2, 2], strides=[2, 2])
        size //= 2
    last = random_layer(rng, 10, channels[-1] * size * size)
    x = n.chain(n.add("Flatten", n.add("Sign", x)), ("MatMul", last.weights.T), ("Add", last.beta))
    return _finish(n, x, decide)


def compiled(model: onnx.ModelProto | bytes, **options: Any) -> Compiled:
    return compile_model(model, Options(**{"name": "net", **options}))


def ort_run(model: onnx.ModelProto, feeds: Sequence[Array]) -> list[Array]:
    """onnxruntime without graph optimisations; custom quantisers are expanded to standard operators first."""
    return ort_session(model)(feeds)


def ort_session(model: onnx.ModelProto) -> Callable[[Sequence[Array]], list[Array]]:
    """A function that runs many samples."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(load_model(model).SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    return lambda feeds: session.run(None, dict(zip(names, feeds, strict=True)))


def random_pixels(rng: np.random.Generator, *shape: int) -> Array:
    """uint8 pixels, all 256 values equally likely."""
    return rng.integers(0, 256, shape).astype(np.uint8)


def real(pixels: Array) -> Array:
    """What pixels stand for under `input_scale=SCALE`, in the compiler's own arithmetic: one float32 rounding."""
    return (pixels.astype(np.float64) * SCALE).astype(np.float32)
