"""Random small BNN graphs as hypothesis strategies.

All numbers are small dyadic fractions, so that float32 arithmetic is exact in any order: results can be compared bit
for bit, ties and sign(0) included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from models import EPSILON, Array, Net

Draw = Callable[[Any], Any]
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


@dataclass
class Growing:
    """A network under construction: the value `x` of shape [1, *shape]."""

    net: Net
    draw: Draw
    rng: np.random.Generator
    x: str
    shape: tuple[int, ...]

    def choose(self, options: list[Any]) -> Any:
        return self.draw(st.sampled_from(options))

    def weights(self, *shape: int) -> Array:
        """Random values of one kind; sometimes with a scale per output channel, which is the first axis."""
        kind = self.choose(list(WEIGHTS))
        found = self.rng.choice(WEIGHTS[kind], shape).astype(np.float32)
        if kind == "two" and self.draw(st.booleans()):
            found *= self.rng.choice([-0.25, 0.5, 1.0], (shape[0], *[1] * (len(shape) - 1))).astype(np.float32)
        return found

    def activate(self) -> None:
        self.x = ACTS[self.choose(list(ACTS))](self.net, self.x)

    def convolve(self) -> None:
        """Any kernel, stride, dilation, groups, padding by attribute or by a Pad of any value."""
        channels, height, width = self.shape
        groups = self.choose([g for g in (1, 2, channels) if channels % g == 0])
        out = groups * self.choose([1, 2, 5] if groups > 4 else [1, 3, 17, 33])
        kernel = [self.choose([k for k in (1, 2, 3) if k <= size]) for size in (height, width)]
        stride, pads = [self.choose([1, 1, 2]) for _ in range(2)], [self.choose([0, 1, 1, 2]) for _ in range(4)]
        attrs: dict[str, Any] = {"strides": stride, "group": groups}
        if self.draw(st.booleans()):
            attrs["pads"] = pads
        else:
            value = self.choose([0.0, 1.0, -1.0, 0.5])
            self.x = self.net.pad(self.x, [0, 0, *pads[:2], 0, 0, *pads[2:]], value)
        self.x = self.net.add("Conv", self.x, self.weights(out, channels // groups, *kernel), **attrs)
        sizes = [(n + pads[i] + pads[i + 2] - kernel[i]) // stride[i] + 1 for i, n in enumerate((height, width))]
        self.shape = (out, *sizes)

    def connect(self) -> None:
        out = self.choose([1, 7, 17, 33])
        self.x = self.net.add("Gemm", self.x, self.weights(out, self.shape[0]), transB=1)
        self.shape = (out,)

    def normalise(self) -> None:
        """BatchNormalization with gamma of any sign, or a multiplication and an addition."""
        size, shape = self.shape[0], (self.shape[0], *[1] * (len(self.shape) - 1))
        gamma = self.rng.choice([-1, -0.5, 0, 0.5, 1, 1], size).astype(np.float32)
        beta, mean = (self.rng.integers(-12, 13, size).astype(np.float32) / 4 for _ in range(2))
        if self.draw(st.booleans()):
            var = (self.rng.choice([1.0, 4.0], size) - EPSILON).astype(np.float32)
            self.x = self.net.add("BatchNormalization", self.x, gamma, beta, mean, var, epsilon=EPSILON)
        else:
            self.x = self.net.chain(self.x, ("Mul", gamma.reshape(shape)), ("Add", beta.reshape(shape)))

    def bend(self) -> None:
        """A real function on the way: monotone or not."""
        slope = self.rng.choice([-0.5, 0.25, 0.5], (self.shape[0], *[1] * (len(self.shape) - 1))).astype(np.float32)
        choice = self.choose(["relu", "prelu", "abs", "clip"])
        if choice == "prelu":
            self.x = self.net.add("PRelu", self.x, slope)
        elif choice == "clip":
            self.x = self.net.clip(self.x, -4.0, 4.0)
        else:
            self.x = self.net.add({"relu": "Relu", "abs": "Abs"}[choice], self.x)

    def pool(self) -> None:
        """Windows of 2 x 2, which divide exactly."""
        op, stride = self.choose(["MaxPool", "AveragePool"]), self.choose([1, 2])
        if min(self.shape[1:]) < 2:
            return
        self.x = self.net.add(op, self.x, kernel_shape=[2, 2], strides=[stride, stride])
        self.shape = (self.shape[0], *((n - 2) // stride + 1 for n in self.shape[1:]))

    def branch(self) -> None:
        """Two functions of one value, added or concatenated."""
        left, right = (ACTS[self.choose(list(ACTS))](self.net, self.x) for _ in range(2))
        if self.draw(st.booleans()):
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

    def grow(self, image: bool) -> None:
        """One block: an activation, a linear layer, and what follows it."""
        if self.draw(st.integers(0, 5)) == 0:
            self.branch()
        self.activate()
        if image and self.draw(st.integers(0, 3)) == 0:
            self.shuffle()
        if image:
            self.convolve()
        else:
            self.connect()
        after = [self.normalise, self.bend, *([self.pool] if image else [])]
        for step in self.draw(st.permutations(after)):
            if self.draw(st.booleans()):
                step()

    def flatten(self) -> None:
        if len(self.shape) > 1:
            self.x = self.net.add("Flatten", self.x)
            self.shape = (int(np.prod(self.shape)),)


@st.composite
def networks(draw: Draw) -> onnx.ModelProto:
    """A model with the real input x and one or two outputs."""
    image = draw(st.booleans())
    shape = (
        tuple(draw(st.sampled_from([(1, 6, 5), (2, 4, 7), (3, 8, 8)])))
        if image
        else (draw(st.sampled_from([9, 32, 70])),)
    )
    net = Net()
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    growing = Growing(net, draw, rng, net.input([1, *shape]), shape)
    for _ in range(draw(st.integers(1, 3))):
        growing.grow(image)
    inner = growing.x if draw(st.integers(0, 4)) == 0 else None
    growing.flatten()
    for _ in range(draw(st.integers(0, 2))):
        growing.grow(False)
    y = net.add("Identity", growing.x)
    return net.model(y, *([] if inner is None or inner == growing.x else [inner]))
