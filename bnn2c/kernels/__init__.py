"""Kernel families: which shapes each can run, how it stores weights, what it costs, and how to call it from C.

A family is a module with `supports`, `pack`, `cost` and `call_args`; the C side is `runtime_c/bnn2c_<family>.h`.
"""
