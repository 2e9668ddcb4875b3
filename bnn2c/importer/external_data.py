"""Tensors whose bytes lie in files beside the model: read only from inside the model's folder, within the limits."""

from __future__ import annotations

import re
from pathlib import Path

import onnx

from bnn2c.errors import CompileError
from bnn2c.importer.limits import all_tensors, too_large

EXTERNAL = onnx.TensorProto.EXTERNAL
DIGITS = re.compile(r"-?[0-9]{1,40}")


def load_external(model: onnx.ModelProto, folder: Path | None, max_bytes: int) -> None:
    """Replace external tensors by their bytes.

    Args:
        model: is changed.
        folder: the model's folder, resolved; None when the model did not come from a file.
        max_bytes: most bytes of one tensor.

    Raises:
        CompileError: BNN010 for a file outside of the folder (also through a symbolic link), a missing file or a range
            that it does not have; BNN009 for too many bytes.
    """
    for tensor in all_tensors(model):
        if tensor.data_location != EXTERNAL:
            continue
        facts = {entry.key: entry.value for entry in tensor.external_data}
        location = facts.get("location", "")
        try:
            tensor.raw_data = _read(_inside(location, folder), facts, max_bytes)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise CompileError.single("BNN010", f"external data '{location}': {why}", node=tensor.name) from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _inside(location: str, folder: Path | None) -> Path:
    """The file, links resolved.

    Raises:
        ValueError: it is not a file inside the folder.
    """
    path = (folder / location).resolve() if folder else None
    if folder is None or path is None or Path(location).is_absolute() or not path.is_relative_to(folder):
        raise ValueError("it is not inside the model's folder")
    if not path.is_file():
        raise ValueError("it does not exist or is not a file")
    return path


def _read(path: Path, facts: dict[str, str], max_bytes: int) -> bytes:
    """The range of the file that `offset` and `length` name."""
    size = path.stat().st_size
    offset = _number(facts.get("offset", "0"))
    length = _number(facts.get("length", str(size - offset)))
    if offset < 0 or length < 0 or offset + length > size:
        raise ValueError(f"it has {size} bytes, not {length} from {offset} on")
    if length > max_bytes:
        raise too_large(f"external data of {length} bytes exceed {max_bytes}", "max-tensor-bytes")
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _number(text: str) -> int:
    """A count of bytes, as ONNX writes it."""
    if not DIGITS.fullmatch(text):
        raise ValueError(f"{text[:20]!r} is not a number of bytes")
    return int(text)
