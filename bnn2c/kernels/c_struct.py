"""C initialisers of parameter structs."""

from __future__ import annotations

from bnn2c.ir.types import Shape
from bnn2c.ir.window import Window

__all__ = ["c_struct", "window_initializer", "window_members"]


def c_struct(**members: int | str) -> str:
    """Designated initialiser: unsigned numbers, and C text such as names of arrays."""
    values = (f".{name} = {value}" + "u" * isinstance(value, int) for name, value in members.items())
    return "{" + ", ".join(values) + "}"


def window_members(window: Window, in_shape: Shape) -> dict[str, int]:
    """What every struct holds that describes a window sliding over `in_shape` [H, W, C]."""
    height, width = window.output(in_shape[0], in_shape[1])
    return dict(
        in_h=in_shape[0], in_w=in_shape[1], out_h=height, out_w=width,
        kernel_h=window.kernel[0], kernel_w=window.kernel[1],
        stride_h=window.stride[0], stride_w=window.stride[1],
        dilation_h=window.dilation[0], dilation_w=window.dilation[1],
        pad_top=window.pads[0], pad_left=window.pads[1],
    )  # fmt: skip


def window_initializer(window: Window, in_shape: Shape) -> str:
    """Initialiser of `bnn2c_window_t`."""
    return c_struct(**window_members(window, in_shape))
