"""The Python interface: `bnn2c.compile` and what it returns."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnn2c.errors import CompileError, Diagnostic, plural
from bnn2c.options import Options
from bnn2c.output_folder import MANIFEST, write_folder
from bnn2c.report import Limits, Report, build_report

if TYPE_CHECKING:
    import numpy as np
    import onnx

    from bnn2c.host_run import HostModel
    from bnn2c.pipeline import Compiled

__all__ = ["CompiledModel", "compile", "compile_with", "options_for"]


@dataclass(frozen=True)
class CompiledModel:
    """A compiled network.

    Attributes:
        compiled: what the pipeline returned; its fields are not part of the stable interface.
        report: what the compilation led to, with `.text()`, `.json()`, `.html()` and `.data`.
    """

    compiled: Compiled = field(repr=False)
    report: Report = field(repr=False)

    @property
    def files(self) -> dict[str, str]:
        """Text of every generated C file, by file name."""
        return self.compiled.files

    @property
    def manifest(self) -> dict[str, Any]:
        """Hashes, sizes, inputs, outputs and layers; the content of manifest.json."""
        return self.compiled.manifest

    def write(self, folder: str | os.PathLike[str]) -> list[str]:
        """Write the C files, manifest.json and report.{txt,json,html}, all or none.

        Args:
            folder: where to; unchanged files of an earlier run that are no longer generated are removed from it.

        Returns:
            names of such files that stay, since somebody has changed them; a build of all files would take them in.

        Raises:
            CompileError: BNN023 when the folder cannot be written; nothing is changed then.
        """
        report = {f"report.{kind}": getattr(self.report, writer)() for kind, writer in _REPORTS.items()}
        manifest = {MANIFEST: json.dumps(self.manifest, indent=1, ensure_ascii=False) + "\n"}
        return write_folder(Path(folder), {**self.files, **report, **manifest})

    def run(self, inputs: Any) -> list[np.ndarray]:  # noqa: ANN401 - one array, several, or a dict by name
        """Run the generated C on this machine, built with its C compiler.

        Args:
            inputs: one array, a sequence with one array per graph input, or a dict by input name; each of the input's
                shape, where leading dimensions of 1, such as the batch, may be left out.

        Returns:
            one array per graph output.

        Raises:
            CompileError: BNN022 when an input does not fit.
            ToolchainMissing: when this machine has no C compiler.
        """
        return self._host.run(_ordered(inputs, self.manifest["inputs"]))

    def reference(self, inputs: Any) -> list[np.ndarray]:  # noqa: ANN401 - as for run
        """Run the final graph in numpy, which the C must equal; arguments and result as for `run`."""
        return self.compiled.reference(_ordered(inputs, self.manifest["inputs"]))

    @cached_property
    def _host(self) -> HostModel:
        from bnn2c.host_run import HostModel

        return HostModel(self.files, self.manifest)


_REPORTS = {"txt": "text", "json": "json", "html": "html"}


def compile(
    model: str | os.PathLike[str] | bytes | onnx.ModelProto, target: str = "portable", **options: object
) -> CompiledModel:
    """Compile an ONNX model to C.

    Args:
        model: the .onnx file, its bytes, or the model itself.
        target: name of a target (`bnn2c targets`).
        **options: fields of `bnn2c.options.Options`, also as they are written on the command line: input_scale=1 / 255
            or "1/255", max_flash=65536 or "64K", states={"IN": "OUT"} or ["IN=OUT"] and so on; `optimize` defaults to
            what suits the target.

    Returns:
        the compiled network.

    Raises:
        CompileError: with every problem that was found, when the model cannot be compiled or an option is wrong.
    """
    source = Path(model) if isinstance(model, str | os.PathLike) else model
    return compile_with(source, options_for(target, **options))


def options_for(target: str, **options: object) -> Options:
    """Options for a target; those that are None or left out get the target's or the general default.

    Raises:
        CompileError: BNN019 for an unknown target or option, and what `read_values` and `Options` refuse.
    """
    from bnn2c.option_values import read_values
    from bnn2c.targets import TargetError, load_target

    given = {name: value for name, value in options.items() if value is not None}
    if unknown := sorted(set(given) - set(Options.__dataclass_fields__)):
        raise CompileError([_unknown(name) for name in unknown])
    values = read_values({"target": target, **given})
    try:
        default = load_target(values["target"]).optimize
    except TargetError as error:
        raise CompileError.single("BNN019", str(error)) from None
    return Options(**{"optimize": default, **values})


def _unknown(option: str) -> Diagnostic:
    from bnn2c.targets import nearest

    near = nearest(option, Options.__dataclass_fields__)
    hint = f"did you mean {near}?" if near else f"there are {', '.join(Options.__dataclass_fields__)}"
    return Diagnostic("BNN019", f"unknown option {option!r}", hint=hint)


def compile_with(source: Path | bytes | onnx.ModelProto, options: Options) -> CompiledModel:
    """Compile with options that are already an object."""
    from bnn2c.pipeline import compile_model

    compiled = compile_model(source, options)
    limits = Limits(options.max_flash, options.max_ram)
    return CompiledModel(compiled, build_report(compiled.manifest, compiled.report_data, limits=limits))


def _ordered(inputs: Any, declared: list[dict[str, Any]]) -> list[np.ndarray]:  # noqa: ANN401 - see run
    """The inputs in graph order, as arrays of the declared shape.

    Raises:
        CompileError: BNN022 for a missing, additional or wrongly shaped array.
    """
    names = [one["name"] for one in declared]
    if isinstance(inputs, Mapping):
        if set(inputs) != set(names):
            raise CompileError.single("BNN022", f"inputs are {sorted(inputs)}, the model has {sorted(names)}")
        inputs = [inputs[name] for name in names]
    elif not isinstance(inputs, list | tuple):
        inputs = [inputs]
    if len(inputs) != len(names):
        raise CompileError.single("BNN022", f"{plural(len(inputs), 'input')} given, the model has {len(names)}")
    return [_fitted(array, one) for array, one in zip(inputs, declared, strict=True)]


def _fitted(value: Any, declared: Mapping[str, Any]) -> np.ndarray:  # noqa: ANN401 - anything that numpy takes
    """One input with the declared shape and type; real numbers may be rounded to float32, integers never change."""
    import numpy as np

    shape, name = tuple(declared["shape"]), declared["name"]
    try:
        given = np.asarray(value)
    except ValueError:  # rows of different lengths
        given = np.asarray(None)
    if given.dtype.kind not in "biuf":
        raise CompileError.single("BNN022", f"input {name} is no array of real numbers")
    if _without_leading_ones(given.shape) != _without_leading_ones(shape):
        raise CompileError.single("BNN022", f"input {name} has shape {given.shape}, not {shape}")
    array = given.astype(declared["dtype"])
    if array.dtype.kind != "f" and not np.array_equal(array, given):
        raise CompileError.single("BNN022", f"input {name} has values that are not {declared['dtype']}")
    return array.reshape(shape)


def _without_leading_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    first = next((i for i, count in enumerate(shape) if count != 1), len(shape))
    return shape[first:]
