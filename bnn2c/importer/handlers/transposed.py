"""Transposed convolution as ordinary convolutions.

Output position `o = s*i + d*k - pad` (ONNX ConvTranspose). For the phase `r = o mod s` only taps with
`(r + pad - d*k) mod s = 0` contribute, and they read input `i = q + (r + pad - d*k) / s`: a stride-1 convolution over
q.
"""

from __future__ import annotations

from math import gcd

import numpy as np

from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.spatial import pair
from bnn2c.importer.tensors import Array, Tensor, View
from bnn2c.ir.window import Window
from bnn2c.ops.concat import Concat
from bnn2c.ops.conv2d import Conv2d

Taps = tuple[list[int], int, int]


def phases(ctx: Context, call: Call, x: View, weights: Array) -> Tensor:
    """`x` [1, I, H, W] with weights [I, O / groups, KH, KW] -> [1, O, H', W'] (or their 1-D forms)."""
    rank = len(x.shape) - 2
    index = x.index[0] if rank == 2 else x.index[0][:, None, :]
    groups = call.attrs.get("group", 1)
    shares = np.split(weights if rank == 2 else weights[:, :, None, :], groups)
    kernels = np.concatenate([share.transpose(1, 2, 3, 0) for share in shares])
    stride, dilation = pair(call.attrs.get("strides"), rank, 1), pair(call.attrs.get("dilations"), rank, 1)
    before, size = _geometry(call, index.shape[1:], kernels.shape[1:3], stride, dilation, rank)
    rounds = [-(-n // s) for n, s in zip(size, stride, strict=True)]
    parts = []
    for r in range(stride[0]):
        for c in range(stride[1]):
            taps = [
                _taps(p, b, s, d, k)
                for p, b, s, d, k in zip((r, c), before, stride, dilation, kernels.shape[1:3], strict=True)
            ]
            parts.append(_phase(ctx, x, index, (kernels, groups), taps, rounds))
    name = ctx.emit(Concat(2), parts) if len(parts) > 1 else parts[0]
    out = np.arange(ctx.builder.types[name].size, dtype=np.int32).reshape(
        rounds[0], rounds[1], stride[0], stride[1], -1
    )
    full = out.transpose(4, 0, 2, 1, 3).reshape(len(kernels), rounds[0] * stride[0], -1)[:, : size[0], : size[1]]
    return View(name, full[None] if rank == 2 else full[None, :, 0], np.dtype(np.float32))


def _geometry(
    call: Call,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    rank: int,
) -> tuple[list[int], list[int]]:
    """Padding before each axis and output size (ONNX ConvTranspose, output_shape and auto_pad resolved)."""
    extra = pair(call.attrs.get("output_padding"), rank, 0)
    given = list(call.attrs.get("pads") or [0] * (2 * rank))
    pads = given if rank == 2 else [0, given[0], 0, given[1]]
    wanted = call.attrs.get("output_shape")
    mode = call.attrs.get("auto_pad", "NOTSET")
    before, out = [], []
    for axis in range(2):
        full = stride[axis] * (size[axis] - 1) + extra[axis] + (kernel[axis] - 1) * dilation[axis] + 1
        total = pads[axis] + pads[axis + 2]
        if wanted or mode.startswith("SAME"):
            target = ([1] * (2 - rank) + list(wanted[-rank:]))[axis] if wanted else size[axis] * stride[axis]
            total = full - target if wanted else max(0, full - target)  # without a shape nothing is added behind
            before.append(max(0, total // 2 if mode == "SAME_UPPER" else total - total // 2))
        else:
            before.append(pads[axis])
        out.append(full - total)
    return before, out


def _taps(phase: int, pad: int, stride: int, dilation: int, kernel: int) -> Taps:
    """Kernel positions of a phase by ascending input offset, the first offset, and the offset step."""
    chosen = [k for k in range(kernel) if (phase + pad - dilation * k) % stride == 0][::-1]
    first = (phase + pad - dilation * chosen[0]) // stride if chosen else 0
    return chosen, first, dilation // gcd(dilation, stride)


def _phase(ctx: Context, x: View, index: Array, layer: tuple[Array, int], taps: list[Taps], rounds: list[int]) -> str:
    """One stride-1 convolution [rounds, O]; zeros where no tap meets the input."""
    (kernels, groups), rows, cols = layer, taps[0][0], taps[1][0]
    pads, cut = [0] * 4, []
    for axis, (positions, first, step) in enumerate(taps):
        last = first + step * (len(positions) - 1) + rounds[axis] - 1
        size = index.shape[1 + axis]
        cut.append(slice(max(first, 0), min(size, last + 1)))
        pads[axis], pads[axis + 2] = max(-first, 0), max(last + 1 - size, 0)
    seen = index[:, cut[0], cut[1]]
    if not rows or not cols or not seen.size:
        return ctx.constant_value(np.zeros((*rounds, len(kernels)), np.float32))
    source = ctx.physical(x, seen.transpose(1, 2, 0))
    chosen = np.ascontiguousarray(kernels[:, rows][:, :, cols], np.float32)
    window = Window((len(rows), len(cols)), (1, 1), (taps[0][2], taps[1][2]), (pads[0], pads[1], pads[2], pads[3]))
    return ctx.emit(Conv2d(chosen, window, groups), [source])
