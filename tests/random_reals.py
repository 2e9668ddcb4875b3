"""Random networks of real numbers for fixed point: as random_graphs.py, but with any real constants."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from models import Array, Net
from random_graphs import YES, Growing, Numbered

FLOAT, INT32, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32, onnx.TensorProto.INT64
Vectors = list[list[Array]]
CURVES: dict[str, Callable[[Net, str], str]] = {
    "relu": lambda n, x: n.add("Relu", x),
    "leaky": lambda n, x: n.add("LeakyRelu", x, alpha=0.1),
    "clip": lambda n, x: n.clip(x, -0.7, 1.1),
    "abs": lambda n, x: n.add("Abs", x),
    "sigmoid": lambda n, x: n.add("Sigmoid", x),
    "tanh": lambda n, x: n.add("Tanh", x),
    "exp": lambda n, x: n.add("Exp", n.clip(x, -3.0, 1.0)),
    "sqrt": lambda n, x: n.add("Sqrt", n.add("Add", n.add("Abs", x), 0.3)),
    "square": lambda n, x: n.add("Mul", x, x),
    "gate": lambda n, x: n.add("Mul", x, n.add("Sigmoid", x)),
    "hard": lambda n, x: n.add("Mul", x, n.clip(n.chain(x, ("Mul", 1 / 6), ("Add", 0.5)), 0.0, 1.0)),
    "quotient": lambda n, x: n.add("Div", x, n.add("Add", n.add("Abs", x), 1.0)),
    "either": lambda n, x: n.add("Where", n.add("Greater", x, 0.2), x, n.add("Mul", x, -0.4)),
    "round": lambda n, x: n.chain(n.add("Round", n.add("Mul", x, 3.0)), ("Mul", 0.3)),
    "floor": lambda n, x: n.chain(n.add("Floor", n.add("Mul", x, 2.0)), ("Mul", 0.5)),
    "largest": lambda n, x: n.add("Max", x, n.add("Sub", 0.4, x)),
}
DECISIONS: dict[str, Callable[[Net, str], str]] = {
    "sign": lambda n, x: n.add("Sign", x),
    "bits": lambda n, x: n.cast(n.add("Greater", x, 0.3)),
    "where": lambda n, x: n.add("Where", n.add("LessOrEqual", x, -0.1), -0.7, 0.7),
    "levels": lambda n, x: n.chain(n.add("Round", n.clip(n.add("Mul", x, 3.0), 0.0, 3.0)), ("Mul", 0.25)),
}


@dataclass
class Reals(Growing):
    """The value x is real; `kept` are values of other shapes that become outputs, too."""

    kept: list[str] = field(default_factory=list)

    def weights(self, *shape: int) -> Array:
        """Real, or two-valued with any scale per output channel."""
        kind = self.choices.of(["real", "real", "scaled", "small"])
        found = self.rng.standard_normal(shape)
        if kind == "scaled":
            found = np.sign(found) * self.rng.uniform(0.1, 1.0, (shape[0], *[1] * (len(shape) - 1)))
        found /= np.sqrt(np.prod(shape[1:])) * (50.0 if kind == "small" else 1.0)
        return found.astype(np.float32)

    def per_channel(self, low: float, high: float) -> Array:
        """Numbers of that range, of one shape with x but for all axes but one."""
        shape = [n if i == 0 or self.choices.of(range(4)) == 0 else 1 for i, n in enumerate(self.shape)]
        return self.rng.uniform(low, high, shape).astype(np.float32)

    def act(self) -> str:
        """A decision of x."""
        return DECISIONS[self.choices.of(list(DECISIONS))](self.net, self.x)

    def normalise(self) -> None:
        """BatchNormalization, or its parts, with real numbers."""
        gamma, beta, mean = (self.rng.uniform(-1.5, 1.5, self.shape[0]) for _ in range(3))
        if self.choices.of(YES):
            var = self.rng.uniform(0.3, 2.0, self.shape[0])
            self.x = self.net.add("BatchNormalization", self.x, gamma, beta, mean, var)
        else:
            op = self.choices.of(["Add", "Sub"])
            self.x = self.net.chain(self.x, ("Mul", self.per_channel(-2, 2)), (op, self.per_channel(-1, 1)))

    def bend(self) -> None:
        """Functions of x alone."""
        for _ in range(self.choices.of([1, 1, 2, 3])):
            self.x = CURVES[self.choices.of([*CURVES, "relu", "relu", "clip", "clip"])](self.net, self.x)

    def copied(self) -> str:
        """x again: moved and moved back, or the maximum of one number."""
        kind, axes = self.choices.of(["reshape", "transpose", "pool", "slice", "none"]), len(self.shape)
        if kind == "pool" and axes > 1:
            return self.net.add("MaxPool", self.x, kernel_shape=[1] * (axes - 1))
        if kind == "transpose" and axes > 1:
            order = [0, *range(axes, 0, -1)]
            return self.net.add("Transpose", self.net.add("Transpose", self.x, perm=order), perm=order)
        if kind == "slice" and self.shape[0] > 1:
            parts = self.net.add("Slice", self.x, np.array([0]), np.array([1]), np.array([1]))
            rest = self.net.add("Slice", self.x, np.array([1]), np.array([self.shape[0]]), np.array([1]))
            return self.net.add("Concat", parts, rest, axis=1)
        return self.net.reshape(self.net.reshape(self.x, 1, -1), 1, *self.shape) if kind != "none" else self.x

    def branch(self) -> None:
        """x and a function or decision of a copy of it: a residual sum, a gate, a choice, or side by side."""
        before, copy = self.x, self.copied()
        self.x = copy
        for step in self.choices.of([(self.bend,), (self.normalise,), (self.normalise, self.bend), ()]):
            step()
        other = self.act() if self.choices.of(YES) else self.x
        op = self.choices.of(["Add", "Sub", "Mul", "Max", "Where", "Concat"])
        if op == "Where":
            self.x = self.net.add("Where", self.net.add("Greater", other, before), before, self.net.add("Neg", other))
        elif op == "Concat" and self.shape[0] < 20:
            self.x = self.net.add("Concat", before, other, axis=1)
            self.shape = (2 * self.shape[0], *self.shape[1:])
        else:
            self.x = self.net.add("Max" if op == "Concat" else op, before, other)

    def attend(self) -> None:
        """softmax(scale * x x') x over the places of an image."""
        flat = self.net.reshape(self.x, 1, self.shape[0], -1)
        scores = self.net.add("MatMul", flat, self.net.add("Transpose", flat, perm=[0, 2, 1]))
        scores = self.net.add("Softmax", self.net.add("Mul", scores, 0.25), axis=-1)
        self.x = self.net.reshape(self.net.add("MatMul", scores, flat), 1, *self.shape)

    def reduce(self) -> None:
        """An image becomes a vector, or loses an axis."""
        op = self.choices.of(["ReduceMean", "ReduceMax", "ReduceMin", "GlobalAveragePool", "ReduceSum"])
        axes = list(range(2, len(self.shape) + 1))
        if op == "ReduceSum":
            self.x = self.net.add(op, self.x, np.array(axes), keepdims=0)
        elif op == "GlobalAveragePool":
            self.x = self.net.add("Flatten", self.net.add(op, self.x))
        else:
            self.x = self.net.add(op, self.x, axes=axes, keepdims=0)
        self.shape = self.shape[:1]

    def decide(self) -> None:
        """Another output: classes, or which numbers are large."""
        if self.choices.of(YES):
            self.kept.append(self.net.add("ArgMax", self.x, axis=1, keepdims=0))
        else:
            self.kept.append(self.net.cast(self.net.add("Greater", self.x, 0.1), INT32))

    def watch(self) -> None:
        """Another output: a layer of decisions about a copy of x, which nothing else reads."""
        before = self.x, self.shape
        self.x = self.copied()
        self.flatten()
        signs = self.net.add("Where", self.net.add("Greater", self.x, self.per_channel(-1, 1)), 1.0, -1.0)
        self.kept.append(self.net.add("MatMul", signs, self.rng.choice([-1.0, 1.0], (self.shape[0], 5))))
        self.x, self.shape = before

    def grow(self) -> None:
        """One block: elementwise work, then a linear layer of real or binary numbers, then what follows it."""
        image, of = len(self.shape) > 1, self.choices.of
        for step in self.choices.order([self.bend, self.normalise, self.branch]):
            if of(range(3)) == 0:
                step()
        if image and of(range(8)) == 0:
            self.attend()
        if of(YES):
            self.x = self.act()
        if of(range(5)):
            (self.convolve if image else self.connect)()
        for step in self.choices.order([self.normalise, self.bend, self.branch, *([self.pool] if image else [])]):
            if of(YES):
                step()
        for step in (self.decide, self.watch):
            if of(range(7)) == 0:
                step()


def begin(choices: Numbered, seed: int, net: Net, samples: dict[str, Any]) -> Reals:
    """One or two inputs: real numbers of some range, or ids that choose rows of a table."""
    rng, shape = np.random.default_rng(seed), choices.of([(1, 6, 5), (2, 4, 7), (3, 8, 8), (4, 9), (9,), (32,)])
    if choices.of(range(6)) == 0:
        ids, (places, width) = net.input([1, 6], "ids", INT64), (6, 8)
        samples["ids"] = lambda r: r.integers(0, 11, (1, places))
        rows = net.add("Gather", rng.standard_normal((11, width)), ids)
        return Reals(net, choices, rng, net.add("Transpose", rows, perm=[0, 2, 1]), (width, places))
    size, middle = choices.of([0.2, 1.0, 5.0]), choices.of([0.0, 0.0, 1.0])
    samples["x"] = lambda r: (size * (r.standard_normal((1, *shape)) + middle)).astype(np.float32)
    found = Reals(net, choices, rng, net.input([1, *shape], "x"), shape)
    if choices.of(range(3)) == 0:
        samples["z"] = lambda r: r.uniform(-1, 2, (1, *shape)).astype(np.float32)
        other, op = net.input([1, *shape], "z"), choices.of(["Add", "Mul", "Max", "Concat", "Greater"])
        if op == "Greater":
            found.x = net.add("Where", net.add(op, found.x, other), found.x, 0.3)
        else:
            found.x = net.add(op, found.x, other, **({"axis": 1} if op == "Concat" else {}))
            found.shape = (shape[0] * (1 + (op == "Concat")), *shape[1:])
    return found


def real_network(seed: int) -> tuple[onnx.ModelProto, Vectors]:
    """The model of that number and 24 samples of what it is to see, one array per input."""
    choices, net, samples = Numbered(random.Random(seed)), Net(), {}
    growing = begin(choices, seed, net, samples)
    if choices.of(range(3)) == 0:
        growing.watch()
    for _ in range(choices.of([1, 2, 2])):
        growing.grow()
    if len(growing.shape) > 1 and choices.of(range(4)):
        (growing.reduce if choices.of(YES) else growing.flatten)()
        for _ in range(choices.of([0, 1])):
            growing.grow()
    y = net.add("Mul", growing.x, 0.7)
    rng = np.random.default_rng(seed + 1)
    model = net.model(y, *growing.kept)
    makers, elements = {node.output[0]: node.op_type for node in net.nodes}, {"ArgMax": INT64, "Cast": INT32}
    for port in model.graph.output[1:]:
        port.type.tensor_type.elem_type = elements.get(makers[port.name], FLOAT)
    return model, [[draw(rng) for draw in samples.values()] for _ in range(24)]
