"""From a network over a whole window to a network that takes one frame at a time."""

from bnn2c.streaming.apart import values_first
from bnn2c.streaming.frames import Stream, make_stream

__all__ = ["Stream", "make_stream", "values_first"]
