"""From a planned graph to C files."""

from bnn2c.emit.files import emit

__all__ = ["emit"]
