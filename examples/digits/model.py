"""Two binary networks for 28x28 digits: weights and activations are +1 or -1, the first layer reads 8-bit pixels.

The gradient passes the sign function by the straight-through estimator with cancellation outside [-1, 1]
(Hubara et al., "Binarized Neural Networks", NeurIPS 2016, section 1.3). Latent real weights exist in training only;
`freeze` replaces them by int8 signs, so that the exported file is small and says what it means.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MODELS", "BinaryConv2d", "BinaryLinear", "clip_latent_weights", "digits_cnn", "digits_mlp", "freeze"]


def sign(x: Tensor) -> Tensor:
    """+1 where x >= 0, else -1. Unlike torch.sign it has no third value at 0."""
    return torch.where(x >= 0, 1.0, -1.0)


class _StraightThroughSign(torch.autograd.Function):
    """`sign` whose gradient is 1 inside [-1, 1] and 0 outside."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - torch gives it no type
        ctx.save_for_backward(x)
        return sign(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401 - torch gives it no type
        (x,) = ctx.saved_tensors
        return gradient * (x.abs() <= 1)


class Sign(nn.Module):
    """Binary activation."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape in, +1 and -1 of the same shape out."""
        return _StraightThroughSign.apply(x) if self.training else sign(x)


class _BinaryWeight(nn.Module):
    """A weight that is +1 or -1: the sign of a latent real parameter, or a frozen int8 buffer."""

    weight: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(*shape).uniform_(-1.0, 1.0))

    def freeze(self) -> None:
        """Keep the signs as int8 and drop the latent weights."""
        signs = sign(self.weight.detach()).to(torch.int8)
        del self.weight
        self.register_buffer("weight", signs)

    def signs(self) -> Tensor:
        """The weight as real +1 and -1."""
        return self.weight.to(torch.get_default_dtype()) if self.frozen else _StraightThroughSign.apply(self.weight)

    @property
    def frozen(self) -> bool:
        """Whether only the signs are left."""
        return self.weight.dtype == torch.int8


class BinaryConv2d(_BinaryWeight):
    """3x3 convolution with binary weights, no bias, padded with the real number 0."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(outputs, inputs, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs, h, w] to [n, outputs, h, w]."""
        return functional.conv2d(x, self.signs(), padding=1)


class BinaryLinear(_BinaryWeight):
    """Dense layer with binary weights and no bias."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(outputs, inputs)

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs] to [n, outputs]."""
        return functional.linear(x, self.signs())


def digits_cnn() -> nn.Module:
    """Three 3x3 convolutions, pooled before BatchNorm, and a dense layer: [n, 1, 28, 28] to [n, 10]."""
    blocks = {"conv1": _pooled_block(1, 32), "conv2": _pooled_block(32, 64), "conv3": _pooled_block(64, 64)}
    return nn.Sequential(OrderedDict(blocks | {"flatten": nn.Flatten(), "scores": _scores(3 * 3 * 64)}))


def digits_mlp() -> nn.Module:
    """Two hidden dense layers of 256: [n, 1, 28, 28] to [n, 10]."""
    hidden = {"dense1": _dense_block(28 * 28, 256), "dense2": _dense_block(256, 256)}
    return nn.Sequential(OrderedDict({"flatten": nn.Flatten()} | hidden | {"scores": _scores(256)}))


MODELS: dict[str, Callable[[], nn.Module]] = {"cnn": digits_cnn, "mlp": digits_mlp}


def _pooled_block(inputs: int, outputs: int) -> nn.Module:
    return _named(conv=BinaryConv2d(inputs, outputs), pool=nn.MaxPool2d(2), norm=nn.BatchNorm2d(outputs), sign=Sign())


def _dense_block(inputs: int, outputs: int) -> nn.Module:
    return _named(dense=BinaryLinear(inputs, outputs), norm=nn.BatchNorm1d(outputs), sign=Sign())


def _scores(inputs: int) -> nn.Module:
    return _named(dense=BinaryLinear(inputs, 10), norm=nn.BatchNorm1d(10))


def _named(**layers: nn.Module) -> nn.Module:
    return nn.Sequential(OrderedDict(layers))


def clip_latent_weights(model: nn.Module) -> None:
    """Keep latent weights in [-1, 1], where the straight-through gradient can still flip them."""
    for module in model.modules():
        if isinstance(module, _BinaryWeight):
            module.weight.data.clamp_(-1.0, 1.0)


def freeze(model: nn.Module) -> nn.Module:
    """Replace all latent weights by their signs and switch to evaluation; the model itself is changed and returned."""
    for module in model.modules():
        if isinstance(module, _BinaryWeight):
            module.freeze()
    return model.eval()
