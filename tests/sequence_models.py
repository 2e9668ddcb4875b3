"""Small recurrent and attention networks written node by node, as exporters spell them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Onnx:
    """Collects nodes and constants."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.data: list[onnx.TensorProto] = []

    def constant(self, value: object) -> str:
        name = f"c{len(self.data)}"
        array = np.asarray(value)
        self.data.append(numpy_helper.from_array(array.astype(np.float32) if array.dtype.kind == "f" else array, name))
        return name

    def __call__(self, op: str, *inputs: str, name: str = "", outputs: int = 1, **attributes: object) -> str:
        names = [name or f"v{len(self.nodes)}"] + [f"v{len(self.nodes)}_{k}" for k in range(1, outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=f"n{len(self.nodes)}", **attributes))
        return names[0]

    def normal(self, *shape: int) -> np.ndarray:
        return self.rng.normal(size=shape)

    def signs(self, *shape: int) -> np.ndarray:
        return np.sign(self.normal(*shape)) * 0.25

    def sign_of(self, x: str) -> str:
        zero, one, minus = (self.constant(v) for v in (0.0, 1.0, -1.0))
        return self("Where", self("GreaterOrEqual", x, zero), one, minus)

    def model(
        self, inputs: dict[str, Sequence[int]], outputs: dict[str, Sequence[int]], opset: int = 17
    ) -> onnx.ModelProto:
        ports = [
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in found.items()]
            for found in (inputs, outputs)
        ]
        graph = helper.make_graph(self.nodes, "sequence", *ports, self.data)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def unrolled_gru(
    steps: int, features: int = 20, hidden: int = 32, every_step: bool = False, state: np.ndarray | None = None
) -> onnx.ModelProto:
    """A binary GRU whose steps are written out; `state` is an input, so that all steps are alike, or a constant."""
    g = Onnx()
    wx, wh = g.constant(g.signs(features, 3 * hidden)), g.constant(g.signs(hidden, 3 * hidden))
    bias, sizes, one = g.constant(g.normal(3 * hidden)), g.constant(np.array([hidden] * 3)), g.constant(1.0)
    h, states = "state" if state is None else g.constant(state), []
    for t in range(steps):
        row = g("Slice", "x", g.constant(np.array([t])), g.constant(np.array([t + 1])), g.constant(np.array([1])))
        x = g("Add", g("MatMul", g.sign_of(g("Squeeze", row, g.constant(np.array([1])))), wx), bias)
        parts = []
        for value in (x, g("MatMul", g.sign_of(h), wh)):
            first = g("Split", value, sizes, outputs=3, axis=1)
            parts.append([first, f"{first}_1", f"{first}_2"])
        (xz, xr, xn), (hz, hr, hn) = parts
        z, r = g("Sigmoid", g("Add", xz, hz)), g("Sigmoid", g("Add", xr, hr))
        n = g("Tanh", g("Add", xn, g("Mul", r, hn)))
        h = g("Add", g("Mul", g("Sub", one, z), n), g("Mul", z, h))
        states.append(g("Unsqueeze", h, g.constant(np.array([1]))))
    if every_step:
        h = g("Concat", *states, axis=1)
    g("MatMul", h, g.constant(g.normal(hidden, 5)), name="y")
    shape = [1, steps, 5] if every_step else [1, 5]
    inputs = {"x": [1, steps, features]} | ({"state": [1, hidden]} if state is None else {})
    return g.model(inputs, {"y": shape})


def recurrent_with_states(
    op: str,
    direction: str,
    lengths: Sequence[int] = (7,),
    activations: str = "",
    peepholes: bool = False,
    **attributes: object,
) -> onnx.ModelProto:
    """All outputs of an operator with initial states; each sequence of the batch has its length, of 7 steps."""
    g, gates, hidden = Onnx(3), {"RNN": 1, "GRU": 3, "LSTM": 4}[op], 10
    ways = 2 if direction == "bidirectional" else 1
    weights = [g.constant(g.signs(ways, gates * hidden, n)) for n in (6, hidden)]
    states = ["h", "c"] if op == "LSTM" else ["h"]
    given = ["x", *weights, g.constant(g.normal(ways, 2 * gates * hidden)), g.constant(np.array(lengths, np.int32))]
    kinds = [activations] * ({"RNN": 1, "GRU": 2, "LSTM": 3}[op] * ways)
    if activations:
        attributes |= {"activations": kinds, "activation_alpha": [0.3] * len(kinds)}
    given += [*states, g.constant(g.normal(ways, 3 * hidden))] if peepholes else states
    found = g(op, *given, outputs=1 + len(states), hidden_size=hidden, direction=direction, **attributes)
    for k, name in enumerate(["y", *(f"{state}n" for state in states)]):
        g("Identity", f"{found}_{k}" if k else found, name=name)
    batch = len(lengths)
    shapes = {state: [ways, batch, hidden] for state in states}
    ends = {f"{state}n": shape for state, shape in shapes.items()}
    return g.model({"x": [7, batch, 6]} | shapes, {"y": [7, ways, batch, hidden]} | ends)


def attention_operator(
    packed: bool = False, past: bool = False, mask: bool = False, **attributes: object
) -> onnx.ModelProto:
    """The operator Attention of opset 23 over binarised queries, keys and values: four heads share two of keys."""
    g, tokens, width = Onnx(9), 5, 8
    shapes = {
        name: [1, tokens, n * width] if packed else [1, n, tokens, width]
        for name, n in zip("qkv", (4, 2, 2), strict=True)
    }
    given = [g.sign_of(name) for name in shapes]
    given.append(g.constant(g.normal(tokens, tokens) > -0.5) if mask else "")
    results = {"y": shapes["q"]}
    if past:
        given += ["pk", "pv"]
        shapes |= {name: [1, 2, 3, width] for name in ("pk", "pv")}
    heads = {"q_num_heads": 4, "kv_num_heads": 2} if packed else {}
    first = g("Attention", *given, outputs=3 if past else 1, name="y", **heads, **attributes)
    if past:
        for k, name in enumerate(("nk", "nv"), 1):
            g("Identity", f"v{len(g.nodes) - k}_{k}", name=name)
        results |= {name: [1, 2, tokens + 3, width] for name in ("nk", "nv")}
    assert first == "y"
    return g.model(shapes, results, opset=23)


def recurrent_operator(
    op: str,
    steps: int,
    direction: str,
    every_step: bool = True,
    features: int = 6,
    hidden: int = 10,
    lengths: Sequence[int] = (),
) -> onnx.ModelProto:
    """An ONNX RNN, GRU or LSTM with two-valued weights; a batch where the sequences' lengths are given."""
    g, gates = Onnx(1), {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
    ways = 2 if direction == "bidirectional" else 1
    weights = [g.constant(g.signs(ways, gates * hidden, n)) for n in (features, hidden)]
    bias = g.constant(g.normal(ways, 2 * gates * hidden))
    states, batch = 3 if op == "LSTM" else 2, len(lengths) or 1
    operands = [bias, g.constant(np.array(lengths, np.int32))] if lengths else [bias]
    first = g(op, "x", *weights, *operands, outputs=states, hidden_size=hidden, direction=direction)
    g("Identity", first if every_step else f"{first}_1", name="y")
    shape = [steps, ways, batch, hidden] if every_step else [ways, batch, hidden]
    return g.model({"x": [steps, batch, features]}, {"y": shape})


def head(kind: str, words: int, last: int = 0, tokens: int = 3, width: int = 40) -> onnx.ModelProto:
    """The word with the best score: sums of bits `plain`, with `scale` or `bias` per word; of reals with `signs`.

    With `softmax` it is the one with the largest probability.
    Some words have the same weights as the one before.
    """
    g = Onnx(31)
    x = "x"
    if kind in ("plain", "softmax", "opposite", "scale", "bias"):
        x = g("Sign", g("Add", g("Sign", x), g.constant(np.float32(0.1))))
    weights = g.signs(width, words)
    weights[:, 1::3] = weights[:, 0 : words - 1 : 3]
    score = g("MatMul", x, g.constant(weights))
    if kind in ("scale", "signs", "opposite"):
        per_word = np.repeat(np.float32(0.5) + np.abs(g.normal(words)), 3)[:words]
        score = g("Mul", score, g.constant(np.float32(-0.5) if kind == "opposite" else per_word))
    if kind == "bias":
        score = g("Add", score, g.constant(np.repeat(g.normal(words), 3)[:words]))
    score = g("Softmax", score, axis=-1) if kind == "softmax" else score
    g("ArgMax", score, axis=-1, keepdims=0, select_last_index=last, name="word")
    model = g.model({"x": [1, tokens, width]}, {"word": [1, tokens]})
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    return model


def attention(tokens: int = 12, heads: int = 2, width: int = 32) -> onnx.ModelProto:
    """Binary self-attention: +1/-1 queries, keys and values, {0, 1} attention by a threshold on the scores."""
    g, size = Onnx(2), heads * width
    shape = g.constant(np.array([1, tokens, heads, width]))

    def projected() -> str:
        sums = g("Add", g("MatMul", g.sign_of("x"), g.constant(g.signs(size, size))), g.constant(g.normal(size)))
        return g("Transpose", g("Reshape", g.sign_of(sums), shape), perm=[0, 2, 1, 3])

    q, k, v = projected(), projected(), projected()
    scores = g("Mul", g("MatMul", q, g("Transpose", k, perm=[0, 1, 3, 2])), g.constant(width**-0.5))
    chosen = g("Where", g("GreaterOrEqual", scores, g.constant(0.3)), g.constant(1.0), g.constant(0.0))
    mixed = g("Transpose", g("MatMul", chosen, v), perm=[0, 2, 1, 3])
    g("Reshape", mixed, g.constant(np.array([1, tokens, size])), name="y")
    return g.model({"x": [1, tokens, size]}, {"y": [1, tokens, size]})


class Decoder(Onnx):
    """A binary decoder layer: causal self-attention, attention to `memory`, and a vocabulary; {0, 1} attention."""

    def __init__(self, tokens: int = 7, width: int = 32, words: int = 40, memory: int = 5) -> None:
        super().__init__(8)
        self.tokens, self.width, self.words, self.memory = tokens, width, words, memory
        self.weights = {name: self.signs(width, width) for name in ("q", "k", "v", "o", "cq", "ck", "cv")}
        self.weights |= {"words": self.signs(words, width), "places": self.normal(tokens, width)}
        self.weights["out"] = self.signs(width, words)

    def projected(self, x: str, name: str) -> str:
        return self("MatMul", self.sign_of(x), self.constant(self.weights[name]))

    def chosen(self, scores: str, mask: str | None = None) -> str:
        """{0, 1} attention where the score is large and the mask (a condition) allows it."""
        large = self("GreaterOrEqual", scores, self.constant(0.5))
        both = self("And", large, mask) if mask else large
        return self("Where", both, self.constant(1.0), self.constant(0.0))

    def embedded(self, token: str, place: str) -> str:
        rows = (self("Gather", self.constant(self.weights[n]), i) for n, i in (("words", token), ("places", place)))
        return self("Add", *rows)

    def attended(self, q: str, keys: str, values: str, mask: str | None = None) -> str:
        """Queries [n, width] on keys and values [m, width]."""
        scores = self("MatMul", self.sign_of(q), self("Transpose", self.sign_of(keys), perm=[1, 0]))
        return self("MatMul", self.chosen(scores, mask), self.sign_of(values))

    def after(self, x: str, mixed: str) -> str:
        """The rest of the layer: attention to the memory, the scores of all words, the best word."""
        x = self("Add", x, self.projected(mixed, "o"))
        keys, values = self.projected("memory", "ck"), self.projected("memory", "cv")
        x = self("Add", x, self.attended(self.projected(x, "cq"), keys, values))
        return self("ArgMax", self.projected(x, "out"), axis=1, keepdims=0, name="word")

    def whole(self) -> onnx.ModelProto:
        """All tokens at once."""
        x = self.embedded("token", self.constant(np.arange(self.tokens)))
        q, k, v = (self.projected(x, name) for name in "qkv")
        mask = self.constant(np.tril(np.ones((self.tokens, self.tokens), bool)))
        self.after(x, self.attended(q, k, v, mask))
        return self.finished({"token": [self.tokens]}, {}, self.tokens)

    def step(self) -> onnx.ModelProto:
        """One token; the caches of keys and values are inputs and outputs."""
        x = self.embedded("token", "place")
        q, k, v = (self.projected(x, name) for name in "qkv")
        depth, values = self.constant(np.array([self.tokens])), self.constant(np.array([0.0, 1.0]))
        here = self("Transpose", self("OneHot", "place", depth, values, axis=-1), perm=[1, 0])
        other = self("Sub", self.constant(1.0), here)
        caches = []
        for name, fresh in (("keys", k), ("values", v)):
            kept, added = self("Mul", name, other), self("Mul", here, self.sign_of(fresh))
            caches.append(self("Add", kept, added, name=f"next_{name}"))
        seen = self("LessOrEqual", self.constant(np.arange(self.tokens)[None]), "place")
        self.after(x, self.attended(q, *caches, seen))
        cache = [self.tokens, self.width]
        state = {"keys": cache, "values": cache}
        return self.finished({"token": [1], "place": [1]}, state, 1)

    def finished(
        self, numbers: dict[str, Sequence[int]], state: dict[str, Sequence[int]], count: int
    ) -> onnx.ModelProto:
        memory = {"memory": [self.memory, self.width]}
        model = self.model(
            {**numbers, **state, **memory}, {"word": [count], **{f"next_{n}": s for n, s in state.items()}}
        )
        for info in (*model.graph.input[: len(numbers)], model.graph.output[0]):
            info.type.tensor_type.elem_type = TensorProto.INT64
        return model
