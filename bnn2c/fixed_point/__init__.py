"""Number formats of real tensors: int16 and int8 fixed point instead of float32, calibrated (docs/fixed-point.md).

The pipeline calls `stage.number_formats`. Nothing is imported here: operations in fixed point need `program` and its
printers, and the rules in turn need those operations.
"""
