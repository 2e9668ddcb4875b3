"""The stage of the pipeline that decides about number formats."""

from __future__ import annotations

from typing import Any

from bnn2c.errors import Diagnostic
from bnn2c.fixed_point.compile import FixedPoint, to_fixed_point
from bnn2c.fixed_point.halves import in_signs
from bnn2c.ir import Graph
from bnn2c.options import Options
from bnn2c.passes.fuse_maps import fuse_maps
from bnn2c.passes.fuse_thresholds import fuse_thresholds
from bnn2c.passes.narrow_copies import narrow_copies
from bnn2c.passes.roll_loops import alike_values
from bnn2c.targets import Target
from bnn2c.verify.vectors import Vectors, load_vectors, random_vectors

RANDOM_SAMPLES = 32


def chosen_format(options: Options, target: Target) -> str:
    """float32, int16 or int8; `auto` is int16 where there is no FPU but calibration vectors, float32 elsewhere."""
    if options.real != "auto":
        return options.real
    return "int16" if target.fpu == "none" and options.calibrate is not None else "float32"


def number_formats(graph: Graph, imported: Graph, options: Options, target: Target) -> FixedPoint:
    """The lowered graph in the number format that the options ask for.

    Args:
        graph: the lowered graph.
        imported: the imported graph, for random inputs when there are no vectors.
        options: real, calibrate, calibrate_method.
        target: whether there is an FPU.

    Raises:
        CompileError: BNN022 when the calibration vectors do not fit.
    """
    real = chosen_format(options, target)
    if real == "float32" or not any(kind.storage == "f32" for kind in graph.types.values()):
        return FixedPoint(graph)
    narrow = narrow_copies(in_signs(graph))
    joined = fuse_maps(fuse_thresholds(narrow), alike_values(narrow))
    found = to_fixed_point(joined, _samples(imported, options).inputs, real, options.calibrate_method)
    if options.calibrate is not None or found.graph is joined:
        return found
    hint = "--calibrate vectors.npz, with inputs as the device will see them"
    warning = Diagnostic("BNN027", "fixed-point scales come from random inputs", hint=hint, severity="warning")
    return FixedPoint(found.graph, found.summary, [*found.warnings, warning])


def _samples(imported: Graph, options: Options) -> Vectors:
    if options.calibrate is None:
        return random_vectors(RANDOM_SAMPLES, imported, options)
    ports: list[dict[str, Any]] = [{"name": p.name, "dtype": p.dtype, "shape": list(p.shape)} for p in imported.inputs]
    return load_vectors(options.calibrate, {"inputs": ports, "outputs": []}, options)
