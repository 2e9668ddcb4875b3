"""Trains a binary network on digits and exports it: `python examples/digits/train.py cnn` (or `mlp`).

Writes digits_cnn.onnx (or digits_mlp.onnx) and digits_test.npz beside itself. The last epoch is exported: the test
digits choose nothing.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from data import Digits, load_digits, save_test_set, scaled
from export import check, export
from model import MODELS, clip_latent_weights, freeze
from torch import Tensor, nn
from torch.nn import functional

_HERE = Path(__file__).resolve().parent
_BATCH = 50
_LEARNING_RATE = 0.01
_EPOCHS = {"cnn": 60, "mlp": 200}
"""Four and two minutes on one core."""


def main() -> None:
    """Train, export and check the network named on the command line."""
    arguments = _arguments()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    training, test = load_digits()
    model = MODELS[arguments.model]()
    train(model, training, arguments.epochs or _EPOCHS[arguments.model])
    path = arguments.output / f"digits_{arguments.model}.onnx"
    export(freeze(model), path)
    save_test_set(arguments.output / "digits_test.npz", test)
    print(check(model, path, test))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--epochs", type=int, help=f"default: {_EPOCHS}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="results are the same for the same number only")
    parser.add_argument("--output", type=Path, default=_HERE, help="folder for the .onnx and .npz files")
    return parser.parse_args()


def train(model: nn.Module, training: Digits, epochs: int) -> None:
    """Adam with a cosine learning rate on distorted digits; `model` is changed."""
    pixels, labels = torch.from_numpy(scaled(training.image)), torch.from_numpy(training.label.astype(np.int64))
    optimiser = torch.optim.Adam(model.parameters(), lr=_LEARNING_RATE)
    steps = epochs * math.ceil(len(labels) / _BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    model.train()
    for epoch in range(epochs):
        start, loss = time.monotonic(), 0.0
        for batch in torch.randperm(len(labels)).split(_BATCH):
            loss += _step(model, optimiser, distort(pixels[batch]), labels[batch]) * len(batch)
            schedule.step()
        seconds = time.monotonic() - start
        print(f"epoch {epoch + 1:3}/{epochs}  loss {loss / len(labels):.4f}  {seconds:.1f} s", flush=True)


def _step(model: nn.Module, optimiser: torch.optim.Optimizer, pixels: Tensor, labels: Tensor) -> float:
    loss = functional.cross_entropy(model(pixels), labels)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    clip_latent_weights(model)
    return loss.item()


def distort(pixels: Tensor, turn: float = 0.2, stretch: float = 0.12, shift: float = 0.12) -> Tensor:
    """Turn (radians), stretch and shift (fraction of half the picture) each digit [n, 1, h, w] at random."""
    n = len(pixels)
    angle, size = _spread(n, turn), 1.0 + torch.stack([_spread(n, stretch), _spread(n, stretch)], dim=1)
    rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).view(n, 2, 2)
    offset = torch.stack([_spread(n, shift), _spread(n, shift)], dim=1)
    affine = torch.cat([rotation * size[:, None, :], offset[:, :, None]], dim=2)
    grid = functional.affine_grid(affine, list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, align_corners=False)


def _spread(n: int, limit: float) -> Tensor:
    return (torch.rand(n) * 2 - 1) * limit


if __name__ == "__main__":
    main()
