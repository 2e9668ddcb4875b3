"""Speaks the words, trains the binary network, writes kws.onnx and kws_test.npz: python examples/kws/train.py."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import speech
import torch
from torch import nn
from torch.nn import functional

HERE = Path(__file__).resolve().parent


class Sign(torch.autograd.Function):
    """+1 where x >= 0, else -1; the gradient passes where |x| <= 1."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * (x.abs() <= 1)


class BinaryConv(nn.Module):
    """Convolution over time with +1/-1 weights and without padding, so that it can be streamed; then normalisation."""

    def __init__(self, inputs: int, outputs: int, size: int, dilation: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size) * 0.3)
        self.norm = nn.BatchNorm1d(outputs)
        self.dilation = dilation

    def binary(self) -> torch.Tensor:
        """The weights that are used."""
        return Sign.apply(self.weight) if self.training else torch.where(self.weight >= 0, 1.0, -1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, inputs, time] -> [batch, outputs, shorter time]."""
        return self.norm(functional.conv1d(x, self.binary(), dilation=self.dilation))


class Net(nn.Module):
    """Four binary convolutions over time, mean over time, one real dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [BinaryConv(speech.BANDS, 64, 3), BinaryConv(64, 64, 3), BinaryConv(64, 96, 3), BinaryConv(96, 96, 3, 2)]
        )
        self.dense = nn.Linear(96, len(speech.CLASSES))

    def sign(self, x: torch.Tensor) -> torch.Tensor:
        """Binarise; spelled as ONNX Where for the export."""
        return Sign.apply(x) if self.training else torch.where(x >= 0, 1.0, -1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, bands, frames] between 0 and 1 -> scores."""
        x = self.sign(self.convs[1](self.sign(self.convs[0](x))))
        x = self.sign(self.convs[2](functional.max_pool1d(x, 2)))
        return self.dense(self.sign(self.convs[3](x)).mean(2))


def dataset(voices, per_word: int, noisy: int, seed: int):
    """Clips, features uint8 [n, bands, frames] and classes."""
    library, rng = speech.front_end(), np.random.default_rng(seed)
    found = list(speech.clips(voices, per_word, noisy, rng))
    sounds = np.stack([clip for clip, _ in found])
    return sounds, np.stack([speech.features(library, c) for c in sounds]), np.array([label for _, label in found])


def accuracy(net: Net, x: np.ndarray, y: np.ndarray) -> float:
    """Share of right answers."""
    net.eval()
    with torch.no_grad():
        return float((net(torch.from_numpy(x).float() / 255).argmax(1).numpy() == y).mean())


def train(net: Net, x: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """Adam with a falling step; frames are shifted by up to three positions."""
    optimiser = torch.optim.Adam(net.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    data, labels = torch.from_numpy(x).float() / 255, torch.from_numpy(y)
    for epoch in range(epochs):
        net.train()
        for batch in torch.randperm(len(data)).split(128):
            loss = functional.cross_entropy(net(data[batch]), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            for conv in net.convs:
                conv.weight.data.clamp_(-1, 1)
        schedule.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}", flush=True)


def main() -> None:
    """Speak, train, export. The last epoch is exported: the test clips choose nothing."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    _, x, y = dataset(speech.TRAIN_VOICES, 200, 4, 1)
    sounds, test_x, test_y = dataset(speech.TEST_VOICES, 25, 1, 2)
    net = Net()
    train(net, x, y, int(sys.argv[1]) if len(sys.argv) > 1 else 50)
    print(f"{len(y)} clips to train on, {len(test_y)} to test: accuracy {100 * accuracy(net, test_x, test_y):.1f} %")
    torch.onnx.export(
        net.eval(), torch.zeros(1, speech.BANDS, speech.FRAMES), str(HERE / "kws.onnx"), opset_version=17,
        input_names=["features"], output_names=["scores"], dynamo=False,
    )  # fmt: skip
    shown = np.random.default_rng(0).permutation(len(test_y))[:30]
    np.savez_compressed(
        HERE / "kws_test.npz", input=test_x, label=test_y, sound=sounds[shown], sound_label=test_y[shown],
        input_scale=1 / 255,
    )  # fmt: skip


if __name__ == "__main__":
    main()
