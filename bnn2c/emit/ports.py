"""Inputs and outputs as the C interface shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bnn2c import naming
from bnn2c.ir import Port

C_DTYPES = {
    "float32": "float", "uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "bool": "uint8_t"
}  # fmt: skip

ELEMENT_BYTES = {"float": 4, "int32_t": 4, "int16_t": 2, "int8_t": 1, "uint8_t": 1}


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


def step_bytes(context: Mapping[str, Any]) -> int:
    """Bytes of the inputs and outputs of a step."""
    return sum(int(row["bytes"]) for key in ("inputs", "outputs") for row in step_ports(context[key]))


def step_ports(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The manifest's rows for the inputs or outputs of a step."""
    return [
        {"name": row["c_name"], "shape": row["shape"], "bytes": row["count"] * ELEMENT_BYTES[row["c_type"]]}
        for row in rows
    ]
