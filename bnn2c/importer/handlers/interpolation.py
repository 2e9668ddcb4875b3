"""Coordinates of ONNX Resize."""

from __future__ import annotations

import numpy as np

from bnn2c.importer.call import Call
from bnn2c.importer.context import Context
from bnn2c.importer.handlers.shape import elements, moved
from bnn2c.importer.tensors import Array, Tensor


def _source(call: Call, old: int, new: int, scale: float) -> Array:
    """Input coordinate of every output position (coordinate_transformation_mode)."""
    legacy = call.op == "Upsample" or call.opset < 11
    mode = "asymmetric" if legacy else call.attrs.get("coordinate_transformation_mode", "half_pixel")
    x = np.arange(new, dtype=np.float64)
    if mode == "asymmetric":
        return x / scale
    if mode == "align_corners":
        if scale * old % 1:
            raise call.refuse("BNN006", "align_corners with a fractional output size is ambiguous")
        return x * (old - 1) / max(new - 1, 1)
    if mode == "pytorch_half_pixel" and new == 1:
        return np.zeros(1)
    if mode == "half_pixel_symmetric":
        return old / 2 * (1 - new / (scale * old)) + (x + 0.5) / scale - 0.5
    if mode not in ("half_pixel", "pytorch_half_pixel"):
        raise call.refuse("BNN006", f"Resize coordinate mode {mode} is not supported")
    return (x + 0.5) / scale - 0.5


def nearest_axis(call: Call, old: int, new: int, scale: float) -> Array:
    """Index of the input element that each output element copies."""
    rounding = call.attrs.get("nearest_mode", "floor" if call.opset < 11 else "round_prefer_floor")
    x = _source(call, old, new, scale)
    if rounding.startswith("round"):
        x = np.ceil(x - 0.5) if rounding == "round_prefer_floor" else np.floor(x + 0.5)
    nearest = np.ceil(x) if rounding == "ceil" else np.floor(x)
    return np.asarray(np.clip(nearest, 0, old - 1).astype(np.int64))


def linear_axis(ctx: Context, call: Call, tensor: Tensor, axis: int, new: int, scale: float) -> Tensor:
    """Interpolate between neighbours: `out = x[low] * (1 - f) + x[low + 1] * f`."""
    old = tensor.shape[axis]
    x = np.clip(_source(call, old, new, scale), 0, old - 1)
    low = np.floor(x).astype(np.int64)
    high = np.minimum(low + 1, old - 1)
    fraction = (x - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(len(tensor.shape))])
    near = moved(tensor, np.take(elements(tensor), low, axis))
    far = moved(tensor, np.take(elements(tensor), high, axis))
    left = ctx.elementwise("mul", near, np.float32(1) - fraction)
    return ctx.elementwise("add", left, ctx.elementwise("mul", far, fraction))
