"""`--integrity`: a C function that finds flipped bits in the weights by their CRC-32."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from bnn2c import __version__
from bnn2c.emit.files import environment, runtime_files

if TYPE_CHECKING:
    from bnn2c.emit.arrays import ArrayPool

__all__ = ["check_files", "checksum"]


def check_files(pool: ArrayPool, prefix: str) -> dict[str, str]:
    """`<name>_check.{c,h}` and the runtime header that they need.

    Args:
        pool: the constants of the model, as they are emitted.
        prefix: C prefix.
    """
    context = {
        "prefix": prefix,
        "upper": prefix.upper(),
        "title": f"network {prefix}",
        "version": __version__,
        "arrays": pool.arrays,
        "nbytes": pool.nbytes,
        "crc": checksum(pool),
    }
    files = {
        name.replace("model", prefix): environment().get_template(f"{name}.j2").render(context)
        for name in ("model_check.h", "model_check.c")
    }
    return {**files, **runtime_files(["bnn2c_crc32.h"])}


def checksum(pool: ArrayPool) -> int:
    """CRC-32 of all arrays in order, least significant byte of every element first; an empty array is one zero in C."""
    crc = 0
    for array in pool.arrays:
        data = array.data if array.data.size else np.zeros(1, array.data.dtype)
        crc = zlib.crc32(np.ascontiguousarray(data, data.dtype.newbyteorder("<")).tobytes(), crc)
    return crc
