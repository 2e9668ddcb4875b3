"""The image with padding that windows are read from as runs of bytes; runtime_c/bnn2c_padded_image.h."""

from __future__ import annotations

from bnn2c.kernels.c_struct import c_struct
from bnn2c.kernels.shape import ConvShape

SLACK_BYTES = 32


def image_size(shape: ConvShape) -> tuple[int, int]:
    """Height and width of what the windows cover, padding included."""
    height = (shape.out_h - 1) * shape.stride_h + (shape.kernel_h - 1) * shape.dilation_h + 1
    return height, (shape.out_w - 1) * shape.stride_w + (shape.kernel_w - 1) * shape.dilation_w + 1


def image_error(shape: ConvShape, pixel_bytes: int) -> str | None:
    """Why there is no such image, or None."""
    height, width = image_size(shape)
    if height <= shape.pad_top or width <= shape.pad_left:
        return "no input under the window"
    if height * width * pixel_bytes > 65535:
        return "a map of more than 65535 bytes"
    return None


def image_words(shape: ConvShape, pixel_bytes: int) -> int:
    """Words of scratch."""
    height, width = image_size(shape)
    return (height * width * pixel_bytes + SLACK_BYTES + 3) // 4


def runs(shape: ConvShape, pixel_bytes: int) -> tuple[list[int], int]:
    """Offsets of the runs of a window in bytes, and bytes of each: kernel rows, or taps when they are apart."""
    row = image_size(shape)[1] * pixel_bytes * shape.dilation_h
    if shape.dilation_w == 1 or shape.kernel_w == 1:
        return [y * row for y in range(shape.kernel_h)], shape.kernel_w * pixel_bytes
    columns = [x * shape.dilation_w * pixel_bytes for x in range(shape.kernel_w)]
    return [y * row + column for y in range(shape.kernel_h) for column in columns], pixel_bytes


def initializer(shape: ConvShape, pixel_bytes: int) -> str:
    """C initialiser of `bnn2c_image_size`."""
    height, width = image_size(shape)
    return c_struct(height=height, width=width, pixel_bytes=pixel_bytes)
