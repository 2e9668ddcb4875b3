"""Read an ONNX file safely: limits, external data only inside the model's folder, custom operators rewritten."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper, inliner

from bnn2c.errors import CompileError
from bnn2c.importer.custom import expand_custom

MAX_NODES = 100_000
MAX_TENSOR_BYTES = 1 << 30
MAX_FILE_BYTES = 1 << 31


def load_model(source: str | Path | bytes | onnx.ModelProto) -> onnx.ModelProto:
    """A checked model of standard operators only.

    Args:
        source: a path (`.onnx`, also gzip-compressed), the bytes of a file, or a model.

    Raises:
        CompileError: BNN001 … BNN004, BNN009, BNN010 with the cause.
    """
    folder = Path(source).resolve().parent if isinstance(source, (str, Path)) else None
    model = onnx.ModelProto()
    if isinstance(source, onnx.ModelProto):
        model.CopyFrom(source)
    else:
        _parse(model, source if isinstance(source, bytes) else _read(Path(source)))
    _limits(model)
    _external(model, folder)
    expand_custom(model)
    model = _inlined(model)
    _check(model)
    return model


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise CompileError.single("BNN009", f"{path.name} is larger than {MAX_FILE_BYTES} bytes")
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError) as error:
        raise CompileError.single(
            "BNN001", f"cannot read {path}: {getattr(error, 'strerror', None) or error}"
        ) from error


def _parse(model: onnx.ModelProto, data: bytes) -> None:
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise CompileError.single("BNN002", "the file is not an ONNX model, or it is cut off") from error
    if not model.ir_version or not model.HasField("graph"):
        raise CompileError.single("BNN002", "the file holds no ONNX graph")


def _limits(model: onnx.ModelProto) -> None:
    """Refuse graphs that would exhaust memory before anything is computed."""
    if len(model.graph.node) > MAX_NODES:
        raise CompileError.single("BNN009", f"{len(model.graph.node)} nodes; the limit is {MAX_NODES}")
    for tensor in model.graph.initializer:
        if min(tensor.dims, default=0) < 0:
            raise CompileError.single(
                "BNN003", f"initializer {tensor.name} has a negative dimension {list(tensor.dims)}"
            )
        size = int(np.prod([int(d) for d in tensor.dims], dtype=object)) * 4
        if size > MAX_TENSOR_BYTES:
            raise CompileError.single(
                "BNN009", f"tensor {tensor.name} {list(tensor.dims)} exceeds {MAX_TENSOR_BYTES} bytes"
            )


def _external(model: onnx.ModelProto, folder: Path | None) -> None:
    """Load external tensors that lie inside the model's own folder."""
    for tensor in external_data_helper._get_all_tensors(model):
        if not external_data_helper.uses_external_data(tensor):
            continue
        location = next((e.value for e in tensor.external_data if e.key == "location"), "")
        path = (folder / location).resolve() if folder else None
        if folder is None or path is None or not path.is_relative_to(folder) or Path(location).is_absolute():
            raise CompileError.single(
                "BNN010", f"external data '{location}' is not inside the model's folder", node=tensor.name
            )
        if not path.is_file():
            raise CompileError.single("BNN010", f"external data '{location}' does not exist", node=tensor.name)
        _load_external(tensor, location, folder)


def _load_external(tensor: onnx.TensorProto, location: str, folder: Path) -> None:
    try:
        external_data_helper.load_external_data_for_tensor(tensor, str(folder))
    except (ValueError, OSError) as error:
        raise CompileError.single("BNN010", f"external data '{location}': {error}", node=tensor.name) from error
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Model-local functions expanded; their custom operators rewritten too."""
    if not model.functions:
        return model
    try:
        found = inliner.inline_local_functions(model)
    except (ValueError, RuntimeError) as error:
        raise CompileError.single("BNN003", f"model-local functions cannot be expanded: {error}") from error
    expand_custom(found)
    return found


def _check(model: onnx.ModelProto) -> None:
    """ONNX's own checker; unknown domains are reported operator by operator during import instead."""
    declared = {o.domain for o in model.opset_import}
    for node in model.graph.node:
        if node.domain and node.domain not in declared:
            model.opset_import.add(domain=node.domain, version=1)
            declared.add(node.domain)
    if not declared & {"", "ai.onnx"}:
        raise CompileError.single("BNN004", "the model imports no version of the standard operators")
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, TypeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CompileError.single(
            "BNN003", first, hint="the exporter wrote an invalid graph; see `bnn2c explain BNN003`"
        ) from error
