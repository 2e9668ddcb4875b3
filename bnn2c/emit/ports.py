"""Inputs and outputs as the C interface shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from bnn2c import naming
from bnn2c.emit.arrays import C_TYPES
from bnn2c.ir import Port


def ports_table(ports: Sequence[Port], fallback: str) -> list[dict[str, Any]]:
    """Name, C name, C type, element count, bytes and shape of every input or output."""
    names = naming.unique([p.name for p in ports], fallback)
    return [
        {
            "name": port.name,
            "c_name": name,
            "c_type": C_TYPES[port.dtype],
            "count": prod(port.shape),
            "bytes": prod(port.shape) * np.dtype(port.dtype).itemsize,
            "shape": list(port.shape),
            "scale": port.scale,
        }
        for port, name in zip(ports, names, strict=True)
    ]


def step_bytes(context: Mapping[str, Any]) -> int:
    """Bytes of the inputs and outputs of a step."""
    return sum(int(row["bytes"]) for key in ("inputs", "outputs") for row in step_ports(context[key]))


def step_ports(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The manifest's rows for the inputs or outputs of a step."""
    return [{"name": row["c_name"], "shape": row["shape"], "bytes": row["bytes"]} for row in rows]
