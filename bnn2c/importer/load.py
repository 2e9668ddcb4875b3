"""Read an ONNX file safely: limits, external data only inside the model's folder, custom operators rewritten."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import inliner

from bnn2c.errors import CompileError, plural
from bnn2c.importer.custom import expand_custom, replace_sign, rewrite_of
from bnn2c.importer.external_data import load_external
from bnn2c.importer.inference import infer_shapes
from bnn2c.importer.limits import check_limits, check_text
from bnn2c.importer.masks import assign_where
from bnn2c.importer.order import check_order, sort_nodes
from bnn2c.importer.sparse import make_dense
from bnn2c.options import Options

MAX_FILE_BYTES = 1 << 31
MAX_UNPACKED_BYTES = 1 << 29
GZIP = b"\x1f\x8b"
OLDEST_OPSET = 7
MOST_NAMED = 1000
FOREIGN = (
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself with `git lfs pull`"),
    (b"PK\x03\x04", "a zip archive (a PyTorch checkpoint, a Keras model)", "export it to ONNX first"),
    (b"\x89HDF", "an HDF5 file (a Keras model)", "export it to ONNX first, with tf2onnx for example"),
)


def load_model(source: str | Path | bytes | onnx.ModelProto, options: Options | None = None) -> onnx.ModelProto:
    """A checked model of standard operators only.

    Args:
        source: a path (`.onnx`, also gzip-compressed), the bytes of a file, or a model.
        options: its limits are applied.

    Raises:
        CompileError: BNN001 … BNN004, BNN009, BNN010 with the cause.
    """
    folder = Path(source).resolve().parent if isinstance(source, (str, Path)) else None
    model = onnx.ModelProto()
    if isinstance(source, onnx.ModelProto):
        model.CopyFrom(source)
    else:
        file = "the file" if isinstance(source, bytes) else Path(source).name
        _parse(model, source if isinstance(source, bytes) else _read(Path(source)), file)
    options = options or Options()
    check_text(model)
    check_limits(model, options)
    load_external(model, folder, options.max_tensor_bytes)
    make_dense(model, options)
    model = _inlined(model)
    sort_nodes(model.graph)
    expand_custom(model)
    if options.sign_zero is not None:
        replace_sign(model, options.sign_zero)
    check_limits(model, options)
    _state_output_shapes(model)
    _check(model)
    assign_where(model)
    return model


def _read(path: Path) -> bytes:
    try:
        if not path.is_file() and path.exists():
            raise CompileError.single("BNN001", f"{path} is not a file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise CompileError.single("BNN009", f"{path.name} is larger than {MAX_FILE_BYTES} bytes")
        data = path.read_bytes()
        return _unpacked(path) if data[:2] == GZIP else data
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise CompileError.single(
            "BNN001", f"cannot read {path}: {getattr(error, 'strerror', None) or error}"
        ) from error


def _unpacked(path: Path) -> bytes:
    """A gzip-compressed file; never more than the limit is unpacked."""
    with gzip.open(path) as file:
        data = file.read(MAX_UNPACKED_BYTES + 1)
    if len(data) > MAX_UNPACKED_BYTES:
        raise CompileError.single("BNN009", f"{path.name} unpacks to more than {MAX_UNPACKED_BYTES} bytes")
    return data


def _parse(model: onnx.ModelProto, data: bytes, file: str) -> None:
    """Decode the bytes of `file`.

    Raises:
        CompileError: BNN002 with what they are instead, as far as that can be seen.
    """
    for start, kind, hint in FOREIGN:
        if data.startswith(start):
            raise CompileError.single("BNN002", f"{file} is {kind}, not an ONNX model", hint=hint)
    if not data:
        raise CompileError.single("BNN002", f"{file} is empty")
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        message = f"{file} ({plural(len(data), 'byte')}) is not an ONNX model, or it is cut off"
        raise CompileError.single("BNN002", message) from error
    if not model.ir_version or not model.HasField("graph"):
        raise CompileError.single("BNN002", f"{file} holds no ONNX graph")


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Model-local functions expanded, but those that define an operator that `custom.py` rewrites."""
    known = [f for f in model.functions if rewrite_of(f.domain, f.name)]
    for function in known:
        model.functions.remove(function)
    if not model.functions:
        return model
    try:
        return inliner.inline_local_functions(model)
    except (ValueError, RuntimeError, onnx.checker.ValidationError) as error:
        raise CompileError.single("BNN003", f"model-local functions cannot be expanded: {error}") from error


def _state_output_shapes(model: onnx.ModelProto) -> None:
    """Outputs without a shape, which runtimes accept and the checker does not, get the one that follows."""
    open_outputs = [o for o in model.graph.output if not o.type.tensor_type.HasField("shape")]
    if not open_outputs:
        return
    try:
        found = {o.name: o.type.tensor_type for o in infer_shapes(model).graph.output}
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        found = {}  # the checker or the importer names the node
    for output in open_outputs:
        if output.name in found and found[output.name].HasField("shape"):
            output.type.tensor_type.shape.CopyFrom(found[output.name].shape)


def _with_output_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model for the checker: an output whose shape only the importer finds out (that of a Loop) gets any."""
    if all(o.type.tensor_type.HasField("shape") for o in model.graph.output):
        return model
    found = onnx.ModelProto()
    found.CopyFrom(model)
    for output in found.graph.output:
        if not output.type.tensor_type.HasField("shape"):
            output.type.tensor_type.shape.dim.add()
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
    check_opset(model)
    check_order(model.graph)
    try:
        onnx.checker.check_model(_with_output_shapes(model))
    except (onnx.checker.ValidationError, ValueError, TypeError) as error:
        raise _told_by_checker(str(error) or type(error).__name__) from error


_ABOUT = re.compile(r"Name: (.*?) OpType: (\w+)")
_COUNT = re.compile(r"has (in|out)put size (\d+) not in range \[min=(\d+), max=(\d+)\]")


def _told_by_checker(said: str) -> CompileError:
    """The diagnostic of a rule that ONNX's checker found broken, with the node that it names in its context."""
    rule, _, context = said.partition("==> Context")
    message, about = " ".join(rule.split()), _ABOUT.search(context)
    if count := _COUNT.search(message):
        side, given, least, most = count.groups()
        wanted = least if least == most else f"{least} or more" if int(most) > MOST_NAMED else f"{least} to {most}"
        message = f"the node has {plural(int(given), side + 'put')}, the operator has {wanted}"
    node, op = about.groups() if about else ("", "")
    return CompileError.single("BNN003", message, node=node, op=op)


def check_opset(model: onnx.ModelProto) -> None:
    """Refuse versions of the standard operators whose meaning is not known here.

    Raises:
        CompileError: BNN004.
    """
    newest = onnx.defs.onnx_opset_version()
    for version in {o.version for o in model.opset_import if o.domain in ("", "ai.onnx")}:
        if not OLDEST_OPSET <= version <= newest:
            message = f"the model needs opset {version}; versions {OLDEST_OPSET} to {newest} are understood"
            raise CompileError.single("BNN004", message)
