"""Numbers as people read them."""

from __future__ import annotations

import math

__all__ = ["bytes_text", "count_text"]


def bytes_text(count: int) -> str:
    """A size in bytes: ``640 B``, ``7.4 KiB``, ``1.50 MiB`` (1 KiB = 1024 B)."""
    if count < 1024:
        return f"{count} B"
    if count < 1024 * 1024:
        return f"{count / 1024:.1f} KiB"
    return f"{count / 1024 / 1024:.2f} MiB"


def count_text(count: int) -> str:
    """A count in three digits: ``59.0 k``, ``1.55 M``; below 10,000 exactly."""
    if count < 10_000:
        return f"{count:,}"
    group = min(int(math.log10(count)) // 3, 4)
    value = count / 1000**group
    if f"{value:.3g}" == "1e+03" and group < 4:
        group, value = group + 1, value / 1000
    digits = max(0, 2 - int(math.log10(value)))
    return f"{value:.{digits}f} {' kMGT'[group]}"
