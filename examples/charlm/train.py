"""Trains the character-level language model and writes charlm.onnx: python examples/charlm/train.py [minutes].

The text is the reference help that ships inside every Python (`pydoc_data.topics`, PSF licence), in lower case.
"""

from __future__ import annotations

import pydoc_data.topics
import re
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

sys.path.append(str(Path(__file__).resolve().parent.parent))
from straight_through import Sign  # noqa: E402

SYMBOLS = "\n abcdefghijklmnopqrstuvwxyz0123456789.,:;'\"()[]{}-_=*+/<>`#"
HIDDEN, BATCH, STEPS = 256, 32, 64


def text() -> np.ndarray:
    """Symbol numbers of the whole text; other characters become spaces, runs of spaces one."""
    found = "\n".join(pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics)).lower()
    found = re.sub(r"[*=\-]{3,}", "", found)
    found = "".join(c if c in SYMBOLS else " " for c in found)
    found = re.sub(r" *\n\s*", "\n", re.sub(r" +", " ", found))
    return np.array([SYMBOLS.index(c) for c in found], np.int64)


sign = Sign.apply


class Net(nn.Module):
    """A GRU whose embedding, recurrent and output weights are +1 or -1, as is what enters the products."""

    def __init__(self) -> None:
        super().__init__()
        symbols = len(SYMBOLS)
        self.embed = nn.Parameter(0.5 * torch.randn(symbols, 3 * HIDDEN))
        self.recur = nn.Parameter(0.5 * torch.randn(3 * HIDDEN, HIDDEN))
        self.out = nn.Parameter(0.5 * torch.randn(symbols, HIDDEN))
        self.embed_scale = nn.Parameter(torch.full((3 * HIDDEN,), 1.0))
        self.recur_scale = nn.Parameter(torch.full((3 * HIDDEN,), HIDDEN**-0.5))
        self.out_scale = nn.Parameter(torch.full((symbols,), HIDDEN**-0.5))
        self.bias = nn.Parameter(torch.zeros(3 * HIDDEN))
        self.out_bias = nn.Parameter(torch.zeros(symbols))

    def step(self, embed, recur, h):
        """One step: gates z, r and candidate n as in ONNX GRU with linear_before_reset."""
        products = sign(h) @ recur.T * self.recur_scale
        z = torch.sigmoid(embed[:, :HIDDEN] + products[:, :HIDDEN])
        r = torch.sigmoid(embed[:, HIDDEN : 2 * HIDDEN] + products[:, HIDDEN : 2 * HIDDEN])
        n = torch.tanh(embed[:, 2 * HIDDEN :] + r * products[:, 2 * HIDDEN :])
        return (1 - z) * n + z * h

    def forward(self, ids, h):
        """Logits [batch, time, symbols] and the last state."""
        rows = sign(self.embed) * self.embed_scale + self.bias
        recur, states = sign(self.recur), []
        for t in range(ids.shape[1]):
            h = self.step(rows[ids[:, t]], recur, h)
            states.append(h)
        return sign(torch.stack(states, 1)) @ sign(self.out).T * self.out_scale + self.out_bias, h


def train(net: Net, data: torch.Tensor, minutes: float) -> None:
    """Truncated back-propagation through time for a number of minutes."""
    binary = [net.embed, net.recur, net.out]
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    streams = data[: len(data) // BATCH * BATCH].view(BATCH, -1)
    h, place, begin, seen = torch.zeros(BATCH, HIDDEN), 0, time.time(), 0
    while (passed := (time.time() - begin) / 60 / minutes) < 1:
        if place + STEPS + 1 > streams.shape[1]:
            h, place = torch.zeros(BATCH, HIDDEN), 0
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * max(0.02, 1 - passed)
        logits, h = net(streams[:, place : place + STEPS], h.detach())
        wanted = streams[:, place + 1 : place + STEPS + 1]
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        for latent in binary:
            latent.data.clamp_(-1, 1)
        place, seen = place + STEPS, seen + 1
        if seen % 200 == 0:
            print(f"{100 * passed:5.1f} %  step {seen}  {loss.item() / np.log(2):.3f} bits per character", flush=True)


def bits_per_character(net: Net, data: torch.Tensor) -> float:
    """Mean over text that was not trained on."""
    with torch.no_grad():
        logits, _ = net(data[None, :-1], torch.zeros(1, HIDDEN))
        return float(nn.functional.cross_entropy(logits[0], data[1:])) / float(np.log(2))


def export(net: Net, path: Path) -> None:
    """One step as ONNX: (symbol, state) -> (logits, state). Two-valued weights are int8 in the file."""
    data: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def real(name, tensor):
        data.append(numpy_helper.from_array(tensor.detach().numpy().astype(np.float32), name))
        return name

    def two_valued(name, tensor):
        data.append(numpy_helper.from_array(sign(tensor).detach().numpy().astype(np.int8), f"{name}_int8"))
        return node("Cast", [f"{name}_int8"], name, to=TensorProto.FLOAT)

    def node(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def sign_of(name, value):
        return node("Where", [node("GreaterOrEqual", [value, "zero"], f"{name}_ge"), "one", "minus"], name)

    for name, number in (("zero", 0.0), ("one", 1.0), ("minus", -1.0)):
        data.append(numpy_helper.from_array(np.array(number, np.float32), name))
    data.append(numpy_helper.from_array(np.array([HIDDEN] * 3, np.int64), "sizes"))
    row = node("Gather", [two_valued("embedding", net.embed), "symbol"], "row", axis=0)
    scaled_row = node("Mul", [row, real("embed_scale", net.embed_scale)], "row_scaled")
    node("Add", [scaled_row, real("bias", net.bias)], "x")
    product = node("MatMul", [sign_of("h_bits", "state"), two_valued("recurrent", net.recur.T)], "h_product")
    node("Mul", [product, real("recur_scale", net.recur_scale)], "hx")
    for source in ("x", "hx"):
        parts = [f"{source}_{gate}" for gate in "zrn"]
        nodes.append(helper.make_node("Split", [source, "sizes"], parts, name=f"{source}_split", axis=1))
    z = node("Sigmoid", [node("Add", ["x_z", "hx_z"], "z_sum")], "z")
    r = node("Sigmoid", [node("Add", ["x_r", "hx_r"], "r_sum")], "r")
    n = node("Tanh", [node("Add", ["x_n", node("Mul", [r, "hx_n"], "reset")], "n_sum")], "n")
    fresh = node("Mul", [node("Sub", ["one", z], "z_not"), n], "fresh")
    node("Add", [fresh, node("Mul", [z, "state"], "kept")], "next_state")
    scores = node("MatMul", [sign_of("out_bits", "next_state"), two_valued("output", net.out.T)], "scores")
    scaled = node("Mul", [scores, real("out_scale", net.out_scale)], "scaled")
    node("Add", [scaled, real("out_bias", net.out_bias)], "logits")
    inputs = [("symbol", TensorProto.INT64, [1]), ("state", TensorProto.FLOAT, [1, HIDDEN])]
    outputs = [("logits", TensorProto.FLOAT, [1, len(SYMBOLS)]), ("next_state", TensorProto.FLOAT, [1, HIDDEN])]
    graph = helper.make_graph(
        nodes, "charlm",
        [helper.make_tensor_value_info(*i) for i in inputs], [helper.make_tensor_value_info(*o) for o in outputs], data,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def main() -> None:
    """Train, measure, export."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = torch.from_numpy(text())
    held_out, net = data[-20_000:], Net()
    train(net, data[:-20_000], float(sys.argv[1]) if len(sys.argv) > 1 else 6.0)
    print(f"{len(data):,} characters; held out: {bits_per_character(net, held_out):.3f} bits per character")
    export(net, Path(__file__).with_name("charlm.onnx"))


if __name__ == "__main__":
    main()
