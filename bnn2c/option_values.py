"""Values of options as people write them, on the command line or in Python: `1/255`, `64K`, `IN=OUT`, file names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from bnn2c.errors import CompileError, Diagnostic

__all__ = ["read_values"]

_SIZE = re.compile(r"(0x[0-9a-f]+|\d+(?:\.\d+)?)\s*([km]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_FACTORS = {"": 1, "k": 1024, "m": 1024 * 1024}


class _Unreadable(Exception):
    """The diagnostic that says why a value cannot be read."""

    def __init__(self, what: str, hint: str = "", code: str = "BNN019") -> None:
        super().__init__(what)
        self.what, self.hint, self.code = what, hint, code


def read_values(given: Mapping[str, object]) -> dict[str, Any]:
    """Values of the fields of `bnn2c.options.Options` in the types that these have.

    Args:
        given: by name of the field; names without a reader keep their value, for `Options` to judge.

    Raises:
        CompileError: BNN001 for a file that does not exist, BNN019 for what cannot be read; one diagnostic per value.
    """
    read: dict[str, Any] = {}
    problems: list[Diagnostic] = []
    for name, value in given.items():
        try:
            read[name] = _READERS[name](value) if name in _READERS else value
        except _Unreadable as error:
            option = f"--{name.replace('_', '-')} {value if error.code == 'BNN001' else repr(value)}"
            problems.append(Diagnostic(error.code, f"{option} {error.what}", hint=error.hint))
    if problems:
        raise CompileError(problems)
    return read


def _number(value: object) -> float:
    """A number, also written as a fraction."""
    if isinstance(value, str):
        above, slash, below = value.partition("/")
        with suppress(ValueError, ZeroDivisionError):
            return float(above) / float(below) if slash else float(value)
    elif not isinstance(value, bool) and isinstance(value, Real):
        return float(value)
    raise _Unreadable("is not a number", "write 0.5, 1e-3, or a fraction such as 1/255")


def _whole(value: object) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d+\s*", value, re.ASCII):
        return int(value)
    if not isinstance(value, bool) and isinstance(value, Integral):
        return int(value)
    raise _Unreadable("is not a whole number")


def _size(value: object) -> int:
    """Bytes; K is 1024 and M is 1024 * 1024."""
    match = None if isinstance(value, bool) else _SIZE.fullmatch(str(value).strip())
    if not match:
        raise _Unreadable("is not a size", "for example 256K, 1M or 65536")
    number, unit = match[1].lower(), match[2].lower()
    return int((int(number, 16) if number.startswith("0x") else float(number)) * _FACTORS[unit])


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Unreadable("is neither True nor False")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Unreadable("is not text")
    return value


def _path(value: object) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise _Unreadable("is not the name of a file")
    return Path(value)


def _file(value: object) -> Path:
    path = _path(value)
    if not path.is_file():
        raise _Unreadable("is not a file", code="BNN001")
    return path


def _pairs(value: object) -> tuple[tuple[str, str], ...]:
    """Names of an input and an output each, as pairs, as IN=OUT, or as a mapping."""
    if isinstance(value, Mapping):
        value = tuple(value.items())
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise _Unreadable("is no list of states", _PAIRS_HINT)
    return tuple(map(_pair, value))


_PAIRS_HINT = "a state is an input and an output: IN=OUT, or in Python also {'IN': 'OUT'}"


def _pair(value: object) -> tuple[str, str]:
    pair = tuple(value.partition("=")[::2]) if isinstance(value, str) else value
    match pair:
        case (str(source), str(target)):
            return source, target
    raise _Unreadable("has a state that is no pair of names", _PAIRS_HINT)


_READERS: dict[str, Callable[[object], object]] = {
    **dict.fromkeys(("target", "name", "optimize", "real", "calibrate_method"), _text),
    **dict.fromkeys(("input_scale", "input_offset", "min_agreement"), _number),
    **dict.fromkeys(("sign_zero", "stream", "stream_frames", "max_nodes"), _whole),
    **dict.fromkeys(("max_flash", "max_ram", "max_tensor_bytes"), _size),
    **dict.fromkeys(("integrity", "nms"), _flag),
    **dict.fromkeys(("calibrate", "selftest"), _file),
    "dump_ir": _path,
    "states": _pairs,
}
