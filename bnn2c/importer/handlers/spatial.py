"""Helpers of operators over [N, C, spatial…] tensors: layout changes and window attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.reductions import join
from bnn2c.importer.tensors import Tensor, View
from bnn2c.ir.window import Window

LARGEST = 65535
LARGEST_AREA = 1 << 24


def each_image(ctx: Context, x: View, layer: Callable[[View], Tensor]) -> Tensor:
    """A layer over [1, C, spatial…] applied to every image of a batch `x` [N, C, spatial…]."""
    images = [layer(x.with_index(x.index[n : n + 1])) for n in range(len(x.index))]
    return images[0] if len(images) == 1 else join(ctx, images, 0)


def channels_last(ctx: Context, x: View) -> str:
    """The physical [H, W, C] of a logical [1, C, H, W] or [1, C, L] tensor."""
    index = x.index[0][:, None, :] if x.index.ndim == 3 else x.index[0]
    return ctx.physical(x, index.transpose(1, 2, 0))


def channels_first(ctx: Context, value: str, rank: int) -> Tensor:
    """The logical [1, C, H, W] (or [1, C, L]) view of a physical [H, W, C] value."""
    height, width, channels = ctx.shape(value)
    index = np.arange(height * width * channels, dtype=np.int32).reshape(height, width, channels).transpose(2, 0, 1)
    return View(value, index[:, 0][None] if rank == 3 else index[None], np.dtype(np.float32))


def pair(values: Sequence[int] | None, rank: int, default: int) -> tuple[int, int]:
    """A per-axis attribute as [height, width]; 1-D operators use height 1."""
    given = list(values) if values else [default] * rank
    return (given[0], given[1]) if rank == 2 else (default, given[0])


def window_of(call: Call, size: Sequence[int], kernel: Sequence[int] | None = None) -> Window:
    """Kernel, stride, dilation and resolved padding (auto_pad, ceil_mode) of a Conv or pool."""
    rank = len(size)
    kernel = call.attrs.get("kernel_shape") or kernel or [1] * rank
    height, width = pair(kernel, rank, 1)
    stride = pair(call.attrs.get("strides"), rank, 1)
    dilation = pair(call.attrs.get("dilations"), rank, 1)
    full = (1, *size) if rank == 1 else tuple(size)
    _check_range(call, 1, height, width, *stride, *dilation)
    pads = _pads(call, full, (height, width), stride, dilation, rank)
    _check_range(call, 0, *pads)
    padded = (full[0] + pads[0] + pads[2], full[1] + pads[1] + pads[3])
    if max(height * padded[0], width * padded[1]) > LARGEST_AREA:
        raise call.refuse("BNN009", f"the window of {call.op} is too large")
    window = Window((height, width), stride, dilation, pads)
    return _with_ceil(window, full) if call.attrs.get("ceil_mode") else window


def _check_range(call: Call, low: int, *values: int) -> None:
    """Window parameters that no operator may have are an invalid graph."""
    if min(values) < low or max(values) > LARGEST:
        raise call.refuse("BNN003", f"{call.op} has a kernel, stride, dilation or pad of {min(values)} … {max(values)}")


def _pads(
    call: Call, size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], rank: int
) -> tuple[int, int, int, int]:
    """Explicit pads, or those that auto_pad stands for."""
    mode = call.attrs.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        given = list(call.attrs.get("pads") or [0] * (2 * rank))
        top, left, bottom, right = given if rank == 2 else (0, given[0], 0, given[1])
        return top, left, bottom, right
    if mode == "VALID":
        return 0, 0, 0, 0
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise call.refuse("BNN003", f"auto_pad {mode} is unknown")
    before, after = [], []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        small, large = total // 2, total - total // 2
        before.append(small if mode == "SAME_UPPER" else large)
        after.append(large if mode == "SAME_UPPER" else small)
    return before[0], before[1], after[0], after[1]


def _with_ceil(window: Window, size: Sequence[int]) -> Window:
    """ceil_mode as extra padding at the end; a window that would start in that padding is dropped."""
    pads = list(window.pads)
    for axis, n in enumerate(size):
        span = window.dilation[axis] * (window.kernel[axis] - 1) + 1
        stride = window.stride[axis]
        count = -(-(n + pads[axis] + pads[axis + 2] - span) // stride) + 1
        if (count - 1) * stride >= n + pads[axis]:
            count -= 1
        pads[axis + 2] = max(pads[axis + 2], (count - 1) * stride + span - n - pads[axis])
    return Window(window.kernel, window.stride, window.dilation, (pads[0], pads[1], pads[2], pads[3]))
