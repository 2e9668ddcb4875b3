"""Counts what a network costs on a target: instructions per layer, sizes, and an estimate of the cycles."""

from __future__ import annotations

from bnn2c.bench.measure import bench_model

__all__ = ["bench_model"]
