"""Sizes as people write them on a command line: `256K`, `1M`, `65536`, `0x10000`."""

from __future__ import annotations

import re

from bnn2c.errors import CompileError

__all__ = ["parse_size"]

_SIZE = re.compile(r"(0x[0-9a-f]+|\d+(?:\.\d+)?)\s*([km]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_FACTORS = {"": 1, "k": 1024, "m": 1024 * 1024}


def parse_size(text: str | None, option: str) -> int | None:
    """Bytes of a size; K is 1024 and M is 1024 * 1024. None stays None.

    Args:
        text: what the user wrote.
        option: the option it was given for, for the message.

    Raises:
        CompileError: BNN019 when it is not a size.
    """
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise CompileError.single("BNN019", f"{option} {text!r} is not a size", hint="for example 256K, 1M or 65536")
    number, unit = match.group(1).lower(), match.group(2).lower()
    value = int(number, 16) if number.startswith("0x") else float(number)
    return int(value * _FACTORS[unit])
