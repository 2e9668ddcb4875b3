"""Test inputs: read from an .npz file or made at random, in the form of the C caller and in that of the reference."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from bnn2c.errors import CompileError, Diagnostic
from bnn2c.expr import Apply, Arg
from bnn2c.ir import Graph, Port
from bnn2c.ops.embedding import Embedding
from bnn2c.ops.map import Map
from bnn2c.ops.rearrange import Rearrange
from bnn2c.options import Options

__all__ = ["Vectors", "load_vectors", "random_vectors", "representable"]

Array = npt.NDArray[Any]
_SEED = 20_240_229
_SAME_SCALE = 1e-5


@dataclass(frozen=True)
class Vectors:
    """Samples of one verification.

    Attributes:
        inputs: per sample one array per graph input, as the C function takes it.
        feeds: per sample one array per graph input, as the ONNX graph takes it (real numbers when C takes pixels).
        outputs: per sample one array per graph output when the file holds them, else None.
    """

    inputs: list[list[Array]]
    feeds: list[list[Array]]
    outputs: list[list[Array]] | None = None


def load_vectors(path: Path, manifest: Mapping[str, Any], options: Options) -> Vectors:
    """Read `input`, `input1`, … and optionally `output`, `output1`, …, `input_scale`, `input_offset`.

    Args:
        path: the .npz file; every array is [n, *shape], with or without a batch axis of 1 in the shape. Arrays may also
            have the names of the graph's inputs and outputs.
        manifest: inputs and outputs of the compiled model.
        options: its options: with an input scale the C function takes uint8.

    Raises:
        CompileError: BNN022 with every array that is missing or does not fit.
    """
    arrays = _read(path)
    problems: list[Diagnostic] = []
    given = zip(_keys("input", manifest["inputs"], arrays), manifest["inputs"], strict=True)
    inputs = [_samples(arrays, key, port, problems) for key, port in given]
    keys = _keys("output", manifest["outputs"], arrays)
    stored = [pair for pair in zip(keys, manifest["outputs"], strict=True) if pair[0] in arrays]
    held = [_samples(arrays, key, port, problems) for key, port in stored]
    if 0 < len(held) < len(keys):
        problems.append(_problem(f"the file holds {len(held)} of {len(keys)} outputs", "store all of them or none"))
    problems = problems or _counts([*inputs, *held])
    if problems:
        raise CompileError(problems)
    taken, feeds = _both_forms(inputs, arrays, manifest, options)
    return Vectors(_rows(taken), _rows(feeds), _rows(held) if held else None)


def random_vectors(samples: int, graph: Graph, options: Options) -> Vectors:
    """Seeded random inputs; for float inputs the last but one sample is all zeros and the last one integer-valued.

    Args:
        samples: how many.
        graph: the imported graph; ids stay within the table of the embedding that reads them, and no integer that
            others are divided by is 0, which runtimes refuse.
        options: with an input scale, pixels are drawn and the reference gets their real values.
    """
    rng = np.random.default_rng(_SEED)
    inputs = []
    for port in graph.inputs:
        drawn = _draw(rng, (samples, *port.shape), port, _id_limit(graph, port.value))
        inputs.append(np.where(drawn == 0, drawn.dtype.type(1), drawn) if _divides(graph, port.value) else drawn)
    feeds = [_real(x, options.input_scale, options.input_offset) for x in inputs] if options.input_scale else inputs
    return Vectors(_rows(inputs), _rows(feeds))


def representable(vectors: Vectors, model: onnx.ModelProto) -> Vectors:
    """The samples with numbers that the inputs of the ONNX graph hold: those for float16 are rounded to it.

    Raises:
        CompileError: BNN022 for an integer that the type of its input does not have, such as -1 of an unsigned one.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    infos = [i for i in model.graph.input if i.name not in constants]
    kinds = [np.dtype(onnx.helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type)) for i in infos]
    for info, kind, samples in zip(infos, kinds, zip(*vectors.feeds, strict=True), strict=True):
        if kind.kind in "iu":
            _check_range(info.name, kind, np.stack(samples))
    half = [kind == np.float16 for kind in kinds]

    def held(x: Array, narrow: bool) -> Array:
        return x.astype(np.float16).astype(x.dtype) if narrow and x.dtype.kind == "f" else x

    def rounded(rows: list[list[Array]]) -> list[list[Array]]:
        return [[held(x, narrow) for x, narrow in zip(row, half, strict=True)] for row in rows]

    return replace(vectors, inputs=rounded(vectors.inputs), feeds=rounded(vectors.feeds)) if any(half) else vectors


def _check_range(name: str, kind: np.dtype[Any], samples: Array) -> None:
    """Refuse integers that the ONNX type of an input does not have; the C function may take them in a wider one."""
    if (samples < np.iinfo(kind).min).any() or (samples > np.iinfo(kind).max).any():
        raise CompileError([_problem(f"{name} takes {kind}; the file has {samples.min()} to {samples.max()}")])


def _keys(kind: str, ports: Sequence[Mapping[str, Any]], arrays: Mapping[str, Array]) -> list[str]:
    """Names of the arrays of the ports, by position or by name, whichever the file has more of."""
    by_position = [f"{kind}{k or ''}" for k in range(len(ports))]
    by_name = [str(port["name"]) for port in ports]
    return max(by_position, by_name, key=lambda keys: sum(key in arrays for key in keys))


def _problem(message: str, hint: str = "") -> Diagnostic:
    return Diagnostic("BNN022", message, hint=hint)


def _read(path: Path) -> dict[str, Array]:
    """All arrays of the file; objects are refused, so that nothing of it is executed."""
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("it holds a single array without a name")
        with file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        if "pickle" in str(reason):
            reason = "it is not an .npz file, or holds Python objects"
        hint = "write it with numpy.savez(path, input=...)"
        raise CompileError.single("BNN022", f"cannot read {path.name}: {reason}", hint=hint) from error


def _samples(arrays: Mapping[str, Array], key: str, port: Mapping[str, Any], problems: list[Diagnostic]) -> Array:
    """The array `key` as [n, *shape of the port]; an empty array after a problem."""
    shape = tuple(port["shape"])
    empty = np.zeros((0, *shape))
    if key not in arrays:
        held = ", ".join(sorted(arrays)) or "nothing"
        hint = f"name the arrays input, input1, … in the order of the graph, or like its inputs; the file holds {held}"
        problems.append(_problem(f"the file has no array {key!r} for the tensor {port['name']}", hint))
        return empty
    found = arrays[key]
    if found.ndim == 0 or _core(found.shape[1:]) != _core(shape) or found.dtype.kind not in "biuf":
        wanted = ", ".join(map(str, ("samples", *(shape[1:] if shape[:1] == (1,) else shape))))
        message = f"the array {key!r} is {found.dtype} {list(found.shape)}; the tensor {port['name']} needs [{wanted}]"
        problems.append(_problem(message))
        return empty
    if np.isnan(found).any():
        sample = int(np.isnan(found).reshape(len(found), -1).any(axis=1).argmax())
        message = f"the array {key!r} holds NaN, first in sample {sample}: there is nothing to compare"
        problems.append(_problem(message, "store finite inputs and what the model computes from them"))
        return empty
    return found.reshape(len(found), *shape)


def _core(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape without leading ones: what is left of the batch axis."""
    first = next((i for i, n in enumerate(shape) if n != 1), len(shape))
    return tuple(shape[first:])


def _counts(found: Sequence[Array]) -> list[Diagnostic]:
    counts = {len(x) for x in found if x.size}
    if len(counts) > 1:
        return [_problem(f"the arrays hold different numbers of samples: {sorted(counts)}")]
    return [] if counts else [_problem("the file holds no sample")]


def _both_forms(
    inputs: Sequence[Array], arrays: Mapping[str, Array], manifest: Mapping[str, Any], options: Options
) -> tuple[list[Array], list[Array]]:
    """Inputs for C and for the reference."""
    stored = float(arrays["input_scale"]) if "input_scale" in arrays else None
    offset = float(arrays.get("input_offset", np.zeros(())))
    if options.input_scale is not None:
        _check_scale(stored, offset, options)
        given = [_fitted(x, port) for x, port in zip(inputs, manifest["inputs"], strict=True)]
        return given, [_real(x, options.input_scale, options.input_offset) for x in given]
    real = [_real(x, stored, offset) if stored is not None else x for x in inputs]
    given = [_fitted(x, port) for x, port in zip(real, manifest["inputs"], strict=True)]
    return given, given


def _check_scale(stored: float | None, offset: float, options: Options) -> None:
    """The file must mean the same pixels as the options.

    Raises:
        CompileError: BNN022 when it does not.
    """
    scale = options.input_scale or 0.0
    gaps = (abs((stored or scale) - scale) / abs(scale), abs(offset - options.input_offset))
    if stored is not None and max(gaps) > _SAME_SCALE:
        wanted = f"{scale:g} * q + {options.input_offset:g}"
        raise CompileError([_problem(f"the file was made for real = {stored:g} * q + {offset:g}, not {wanted}")])


def _real(pixels: Array, scale: float | None, offset: float) -> Array:
    """`scale * q + offset` in float64, rounded once to float32; a scale that is 1/k up to float32 divides by k."""
    if not scale:
        return pixels
    inverse = round(1.0 / scale)
    if inverse and abs(scale * inverse - 1.0) < 2e-7:
        return np.asarray(pixels.astype(np.float64) / inverse + offset, np.float32)
    return np.asarray(pixels.astype(np.float64) * scale + offset, np.float32)


def _fitted(samples: Array, port: Mapping[str, Any]) -> Array:
    """The samples in the element type of the C input (at least one element).

    Raises:
        CompileError: BNN022 when a value is not representable.
    """
    kind = np.dtype(port["dtype"])
    if kind.kind == "f":
        return samples.astype(np.float32)
    limits = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
    numbers = samples.astype(np.float64)
    if not (np.isfinite(numbers).all() and (numbers == np.rint(numbers)).all()):
        raise CompileError([_problem(f"{port['name']} takes {kind}; the file has numbers that are no integers")])
    low, high = numbers.min(), numbers.max()
    if low < limits[0] or high > limits[1]:
        raise CompileError([_problem(f"{port['name']} takes {kind}; the file has {low:g} to {high:g}")])
    return samples.astype(kind)


def _rows(arrays: Sequence[Array]) -> list[list[Array]]:
    """Arrays [n, …] -> n lists of arrays."""
    return [list(row) for row in zip(*arrays, strict=True)]


def _draw(rng: np.random.Generator, shape: tuple[int, ...], port: Port, limit: int | None) -> Array:
    if port.dtype == "float32":
        drawn = rng.standard_normal(shape).astype(np.float32)
        if len(drawn) > 2:
            drawn[-2] = 0
            drawn[-1] = rng.integers(-3, 4, shape[1:])
        return drawn
    if port.dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    kind = np.dtype(port.dtype)
    low, high = (-8, 8) if kind.itemsize > 1 else (int(np.iinfo(kind).min), int(np.iinfo(kind).max) + 1)
    low = max(low, 0) if port.unsigned else low
    return rng.integers(0, limit, shape, kind) if limit else rng.integers(low, high, shape, kind)


def _id_limit(graph: Graph, value: str) -> int | None:
    """Rows of the smallest table that the input's elements index."""
    held = _moved(graph, value)
    tables = [n.op.table for n in graph.nodes if isinstance(n.op, Embedding) and n.inputs[0] in held]
    return min(map(len, tables), default=None)


def _divides(graph: Graph, value: str) -> bool:
    """Whether integers are divided by the input's elements."""
    held = _moved(graph, value)
    found = [(n.op.expr, n.inputs) for n in graph.nodes if isinstance(n.op, Map) and isinstance(n.op.expr, Apply)]
    divisors = [(expr.args[1], names) for expr, names in found if expr.fn in ("idiv", "mod", "fmod")]
    return any(isinstance(one, Arg) and names[one.index] in held for one, names in divisors)


def _moved(graph: Graph, value: str) -> set[str]:
    """The values that consist of the input's elements, moved or cast."""
    found = {value}
    for node in graph.nodes:
        moves = isinstance(node.op, Rearrange) or (isinstance(node.op, Map) and len(node.inputs) == 1)
        if moves and node.inputs[0] in found:
            found.add(node.output)
    return found
