"""Random small BNN graphs: as hypothesis strategies, which shrink, and by number, for long campaigns.

All numbers are small dyadic fractions, so that float32 arithmetic is exact in any order: results can be compared bit
for bit, ties and sign(0) included.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnx
from hypothesis import strategies as st
from models import EPSILON, Array, Net


class Choices(Protocol):
    """Where decisions come from."""

    def of(self, options: Sequence[Any]) -> Any: ...
    def order(self, options: Sequence[Any]) -> list[Any]: ...


@dataclass
class Drawn:
    """Decisions of hypothesis."""

    draw: Callable[[Any], Any]

    def of(self, options: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def order(self, options: Sequence[Any]) -> list[Any]:
        return list(self.draw(st.permutations(list(options))))


@dataclass
class Numbered:
    """Decisions that a seed stands for."""

    rng: random.Random

    def of(self, options: Sequence[Any]) -> Any:
        return self.rng.choice(list(options))

    def order(self, options: Sequence[Any]) -> list[Any]:
        return self.rng.sample(list(options), len(options))


ACTS: dict[str, Callable[[Net, str], str]] = {
    "sign": lambda n, x: n.add("Sign", x),
    "larq": lambda n, x: n.chain(x, ("Sign",), ("Add", 0.1), ("Sign",)),
    "where": lambda n, x: n.add("Where", n.add("Less", x, 0.25), -0.5, 0.5),
    "unsigned": lambda n, x: n.cast(n.add("Greater", x, -0.5)),
    "levels": lambda n, x: n.chain(n.clip(x, 0.0, 1.0), ("Mul", 4.0), ("Round",), ("Div", 4.0)),
    "ternary": lambda n, x: n.add("Round", n.clip(n.add("Mul", x, 0.5), -1.0, 1.0)),
    "interval": lambda n, x: n.add("Where", n.add("Less", n.add("Abs", x), 2.0), 1.0, -1.0),
    "real": lambda n, x: n.add("Mul", n.clip(x, -8.0, 8.0), 0.125),
}
WEIGHTS: dict[str, list[float]] = {
    "two": [-1, 1], "scaled": [-0.5, 0.5], "ternary": [-1, 0, 1], "bits": [0, 1], "integers": [-3, -1, 1, 2],
    "real": [k / 16 for k in range(-16, 17)],
}  # fmt: skip
YES = (False, True)


@dataclass
class Growing:
    """A network under construction: the value `x` of shape [1, *shape]."""

    net: Net
    choices: Choices
    rng: np.random.Generator
    x: str
    shape: tuple[int, ...]

    def weights(self, *shape: int) -> Array:
        """Random values of one kind; sometimes with a scale per output channel, which is the first axis."""
        kind = self.choices.of(list(WEIGHTS))
        found = self.rng.choice(WEIGHTS[kind], shape).astype(np.float32)
        if kind == "two" and self.choices.of(YES):
            found *= self.rng.choice([-0.25, 0.5, 1.0], (shape[0], *[1] * (len(shape) - 1))).astype(np.float32)
        return found

    def act(self) -> str:
        """One of the activations, on x."""
        return ACTS[self.choices.of(list(ACTS))](self.net, self.x)

    def convolve(self) -> None:
        """Any kernel, stride, dilation, groups, padding by attribute or by a Pad of any value."""
        channels, *size = self.shape
        axes, of = range(len(size)), self.choices.of
        groups = of([g for g in (1, 2, channels) if channels % g == 0])
        out = groups * of([1, 2, 5] if groups > 4 else [1, 3, 17, 33])
        dilation = [of([1, 1, 1, 2]) for _ in axes]
        kernel = [of([k for k in (1, 2, 3) if (k - 1) * dilation[i] < size[i]]) for i in axes]
        stride, pads = [of([1, 1, 2]) for _ in axes], [of([0, 1, 1, 2]) for _ in range(2 * len(size))]
        attrs: dict[str, Any] = {"strides": stride, "group": groups, "dilations": dilation}
        half = len(size)
        if of(YES):
            attrs["pads"] = pads
        else:
            self.x = self.net.pad(self.x, [0, 0, *pads[:half], 0, 0, *pads[half:]], of([0.0, 1.0, -1.0, 0.5]))
        self.x = self.net.add("Conv", self.x, self.weights(out, channels // groups, *kernel), **attrs)
        spans = [size[i] + pads[i] + pads[i + half] - dilation[i] * (kernel[i] - 1) - 1 for i in axes]
        self.shape = (out, *(spans[i] // stride[i] + 1 for i in axes))

    def connect(self) -> None:
        """A dense layer."""
        out = self.choices.of([1, 7, 17, 33])
        self.x = self.net.add("Gemm", self.x, self.weights(out, self.shape[0]), transB=1)
        self.shape = (out,)

    def normalise(self) -> None:
        """BatchNormalization with gamma of any sign, or a multiplication and an addition."""
        size, shape = self.shape[0], (self.shape[0], *[1] * (len(self.shape) - 1))
        gamma = self.rng.choice([-1, -0.5, 0, 0.5, 1, 1], size).astype(np.float32)
        beta, mean = (self.rng.integers(-12, 13, size).astype(np.float32) / 4 for _ in range(2))
        if self.choices.of(YES):
            var = (self.rng.choice([1.0, 4.0], size) - EPSILON).astype(np.float32)
            self.x = self.net.add("BatchNormalization", self.x, gamma, beta, mean, var, epsilon=EPSILON)
        else:
            self.x = self.net.chain(self.x, ("Mul", gamma.reshape(shape)), ("Add", beta.reshape(shape)))

    def shift(self) -> None:
        """A constant that differs by channel, by position, or both."""
        shape = [size if self.choices.of(YES) else 1 for size in self.shape]
        values = (self.rng.integers(-12, 13, shape) / 4).astype(np.float32)
        self.x = self.net.add(self.choices.of(["Add", "Sub", "Max"]), self.x, values)

    def bend(self) -> None:
        """A real function on the way: monotone or not."""
        slope = self.rng.choice([-0.5, 0.25, 0.5], (self.shape[0], *[1] * (len(self.shape) - 1))).astype(np.float32)
        choice = self.choices.of(["relu", "prelu", "abs", "clip"])
        if choice == "prelu":
            self.x = self.net.add("PRelu", self.x, slope)
        elif choice == "clip":
            self.x = self.net.clip(self.x, -4.0, 4.0)
        else:
            self.x = self.net.add({"relu": "Relu", "abs": "Abs"}[choice], self.x)

    def pool(self) -> None:
        """Windows of 2, which divide exactly; maxima also over 3 with padding."""
        op, stride, size = self.choices.of(["MaxPool", "AveragePool"]), self.choices.of([1, 2]), self.shape[1:]
        if min(size) < 2:
            return
        padded = op == "MaxPool" and min(size) > 2 and self.choices.of(YES)
        width, pad = (3, 1) if padded else (2, 0)
        attrs = {"pads": [pad] * (2 * len(size))} if padded else {}
        self.x = self.net.add(op, self.x, kernel_shape=[width] * len(size), strides=[stride] * len(size), **attrs)
        self.shape = (self.shape[0], *((n + 2 * pad - width) // stride + 1 for n in size))

    def branch(self) -> None:
        """Two functions of one value, added or concatenated."""
        left, right = self.act(), self.act()
        if self.choices.of(YES):
            self.x = self.net.add("Add", left, right)
        else:
            self.x = self.net.add("Concat", left, right, axis=1)
            self.shape = (2 * self.shape[0], *self.shape[1:])

    def shuffle(self) -> None:
        """Channel shuffle: Reshape, Transpose, Reshape."""
        channels = self.shape[0]
        if channels % 2 == 0:
            x = self.net.reshape(self.x, 1, 2, channels // 2, -1)
            self.x = self.net.reshape(self.net.add("Transpose", x, perm=[0, 2, 1, 3]), 1, *self.shape)

    def cut(self) -> None:
        """A slice of the channels, forwards or backwards."""
        channels = self.shape[0]
        first, step = self.choices.of([(0, 1), (1, 1), (0, 2), (channels - 1, -1)])
        if first < channels and channels > 1:
            end = channels if step > 0 else -(2**31)
            numbers = (np.array([number]) for number in (first, end, 1, step))
            self.x = self.net.add("Slice", self.x, *numbers)
            self.shape = (len(range(first, channels if step > 0 else -1, step)), *self.shape[1:])

    def attend(self) -> None:
        """A product of two activations: similarity of all channels."""
        flat = self.net.reshape(self.x, 1, self.shape[0], -1) if len(self.shape) != 2 else self.x
        left, right = (ACTS[self.choices.of(["sign", "where", "unsigned"])](self.net, flat) for _ in range(2))
        self.x = self.net.add("MatMul", left, self.net.add("Transpose", right, perm=[0, 2, 1]))
        self.shape = (self.shape[0], self.shape[0])

    def grow(self) -> None:
        """One block: an activation, a linear layer, and what follows it."""
        image, of = len(self.shape) > 1, self.choices.of
        if of(range(6)) == 0:
            self.branch()
        if image and of(range(8)) == 0 and self.shape[0] < 20:
            self.attend()
        self.x = self.act()
        if image and of(range(4)) == 0:
            (self.shuffle if of(YES) else self.cut)()
        (self.convolve if image else self.connect)()
        for step in self.choices.order([self.normalise, self.bend, self.shift, *([self.pool] if image else [])]):
            if of(YES):
                step()

    def flatten(self) -> None:
        """All axes but the batch as one."""
        if len(self.shape) > 1:
            self.x = self.net.add("Flatten", self.x)
            self.shape = (int(np.prod(self.shape)),)


def build(choices: Choices, seed: int, name: str = "x") -> onnx.ModelProto:
    """A model with the real input x and one or two outputs; `seed` is for the values of weights."""
    shape = choices.of([(1, 6, 5), (2, 4, 7), (3, 8, 8), (4, 9), (9,), (32,), (70,)])
    net, image = Net(), len(shape) > 1
    growing = Growing(net, choices, np.random.default_rng(seed), net.input([1, *shape], name), shape)
    for _ in range(choices.of([1, 2, 3])):
        growing.grow()
    inner = growing.x if choices.of(range(5)) == 0 else None
    growing.flatten()
    for _ in range(choices.of([0, 1, 2] if image else [0, 0, 1])):
        growing.grow()
    y = net.add("Identity", growing.x)
    return net.model(y, *([] if inner is None or inner == growing.x else [inner]))


def network(seed: int) -> onnx.ModelProto:
    """The model of that number; always the same one."""
    return build(Numbered(random.Random(seed)), seed)


@st.composite
def networks(draw: Callable[[Any], Any]) -> onnx.ModelProto:
    """Any model, for hypothesis."""
    return build(Drawn(draw), draw(st.integers(0, 2**32 - 1)))
