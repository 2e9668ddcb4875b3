"""Number formats of real tensors: int16 and int8 fixed point instead of float32, calibrated (docs/fixed-point.md)."""

from bnn2c.fixed_point.compile import FixedPoint, to_fixed_point
from bnn2c.fixed_point.stage import chosen_format, number_formats

__all__ = ["FixedPoint", "chosen_format", "number_formats", "to_fixed_point"]
