"""`--selftest`: a C file that runs the network on stored inputs and compares with stored outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bnn2c import __version__
from bnn2c.emit.arrays import Array, CArray
from bnn2c.emit.files import environment
from bnn2c.emit.ports import ports_table
from bnn2c.verify.compare import tolerances
from bnn2c.verify.vectors import load_vectors

if TYPE_CHECKING:
    from bnn2c.pipeline import Compiled

__all__ = ["MAX_SAMPLES", "with_selftest"]

MAX_SAMPLES = 8


def with_selftest(compiled: Compiled) -> Compiled:
    """Add `<name>_selftest.{c,h}` when the options name a file of vectors; the first MAX_SAMPLES samples are stored.

    The expected outputs are those of the file, or of the final graph in numpy when it holds none.

    Raises:
        CompileError: BNN022 when the vectors do not fit.
    """
    path = compiled.options.selftest
    if path is None:
        return compiled
    vectors = load_vectors(path, compiled.manifest, compiled.options)
    inputs = vectors.inputs[:MAX_SAMPLES]
    expected = (vectors.outputs or [compiled.reference(sample) for sample in inputs])[:MAX_SAMPLES]
    files = _files(compiled, inputs, expected)
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    manifest = {**compiled.manifest, "files": {**compiled.manifest["files"], **hashes}}
    return replace(compiled, files={**compiled.files, **files}, manifest=manifest)


def _files(compiled: Compiled, inputs: Sequence[Sequence[Array]], outputs: Sequence[Sequence[Array]]) -> dict[str, str]:
    """The two files by name."""
    prefix, ports = compiled.manifest["prefix"], compiled.manifest["outputs"]
    limits = [one.limit for one in tolerances(ports, outputs)]
    table: list[dict[str, Any]] = ports_table(compiled.final.outputs, "output")
    samples = [
        {"inputs": _arrays(given, compiled.manifest["inputs"]), "outputs": _arrays(wanted, ports)}
        for given, wanted in zip(inputs, outputs, strict=True)
    ]
    context = {
        "prefix": prefix,
        "upper": prefix.upper(),
        "title": f"network {prefix}",
        "version": __version__,
        "samples": samples,
        "special": any(array.special for sample in samples for group in sample.values() for array in group),
        "real": any(row["c_type"] == "float" for row in table),
        "outputs": [{**row, "limit": limit} for row, limit in zip(table, limits, strict=True)],
    }
    names = ("model_selftest.h", "model_selftest.c")
    return {name.replace("model", prefix): environment().get_template(f"{name}.j2").render(context) for name in names}


def _arrays(values: Sequence[Array], ports: Sequence[dict[str, Any]]) -> list[CArray]:
    """Initialisers in the element types of the C structs."""
    kinds = ["uint8" if port["dtype"] == "bool" else port["dtype"] for port in ports]
    return [CArray("", np.asarray(value).astype(kind)) for value, kind in zip(values, kinds, strict=True)]
