"""Inputs and outputs as the C interface shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnn2c import naming
from bnn2c.ir import Port

C_DTYPES = {
    "float32": "float", "uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "bool": "uint8_t"
}  # fmt: skip


def ports_table(ports: Sequence[Port], fallback: str) -> list[dict[str, Any]]:
    """Name, C name, C type, element count and shape of every input or output."""
    names = naming.unique([p.name for p in ports], fallback)
    found = []
    for port, name in zip(ports, names, strict=True):
        count = 1
        for n in port.shape:
            count *= n
        found.append(
            {
                "name": port.name,
                "c_name": name,
                "c_type": C_DTYPES[port.dtype],
                "count": count,
                "shape": list(port.shape),
                "scale": port.scale,
            }
        )
    return found
