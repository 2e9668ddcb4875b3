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
sys.path.append(str(HERE.parent))
from straight_through import Binary, BinaryConv, clamp_latent  # noqa: E402


class Net(Binary):
    """Four binary convolutions over time, mean over time, one real dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [BinaryConv(speech.BANDS, 64, 3), BinaryConv(64, 64, 3), BinaryConv(64, 96, 3), BinaryConv(96, 96, 3, 2)]
        )
        self.dense = nn.Linear(96, len(speech.CLASSES))

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
            clamp_latent(net)
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
