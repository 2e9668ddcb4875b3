"""Binary convolutions over time in PyTorch, trained with a straight-through estimator: used by kws, har and text."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


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


class Binary(nn.Module):
    """A module that binarises: `Sign` while it learns, ONNX Where when it is exported."""

    def sign(self, x: torch.Tensor) -> torch.Tensor:
        """+1 or -1."""
        return Sign.apply(x) if self.training else torch.where(x >= 0, 1.0, -1.0)


class BinaryConv(Binary):
    """Convolution over time with +1/-1 weights and without padding, so that it can be streamed; then normalisation."""

    def __init__(self, inputs: int, outputs: int, size: int, dilation: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size) * 0.3)
        self.norm = nn.BatchNorm1d(outputs)
        self.dilation = dilation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, inputs, time] -> [batch, outputs, shorter time]."""
        return self.norm(functional.conv1d(x, self.sign(self.weight), dilation=self.dilation))


def clamp_latent(net: nn.Module) -> None:
    """Keep the real numbers behind binary weights where the estimator still moves them."""
    for module in net.modules():
        if isinstance(module, Binary):
            for latent in module.parameters(recurse=False):
                latent.data.clamp_(-1, 1)
