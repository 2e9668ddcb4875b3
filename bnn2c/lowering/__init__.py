"""From real-valued operations to packed bits and integers: one forward sweep with value analysis."""

from bnn2c.lowering.sweep import lower

__all__ = ["lower"]
