"""The interface of `onnx.backend`: a model is compiled to C, built with this machine's compiler, and run.

    import bnn2c.backend
    outputs = bnn2c.backend.run_model(model, inputs)

Generated C has fixed shapes and weights. Where an operator needs an operand at compile time that the model takes as an
input (the shape of a Reshape, the weights of a Conv), the model is specialised to the value given to `run`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.backend.base import Backend, BackendRep, namedtupledict

from bnn2c.errors import CompileError, plural
from bnn2c.options import Options
from bnn2c.pipeline import Compiled, compile_model
from bnn2c.toolchain import HostLibrary, build_shared

__all__ = ["Bnn2cBackend", "Bnn2cRep", "is_compatible", "prepare", "run_model", "run_node", "supports_device"]


class Bnn2cRep(BackendRep):
    """A prepared model; C is made at the first run with each set of values that have to be known at compile time."""

    def __init__(self, model: onnx.ModelProto, options: Options, optimize: str) -> None:
        self.model = model
        self.options = options
        self.optimize = optimize
        constants = {tensor.name for tensor in model.graph.initializer}
        self.inputs = [info.name for info in model.graph.input if info.name not in constants]
        self._folder = tempfile.TemporaryDirectory(prefix="bnn2c-")
        self._frozen: tuple[str, ...] | None = None
        self._libraries: dict[tuple[object, ...], HostLibrary] = {}

    def run(self, inputs: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the interface of onnx.backend
        """Run the C.

        Args:
            inputs: one array per graph input, or a dict by name, or the array of the only input.
            **kwargs: not used.

        Returns:
            a named tuple with one array per graph output.

        Raises:
            CompileError: the model cannot be compiled.
            ToolchainError: this machine has no compiler, or the C did not run.
        """
        for info in self.model.graph.input:
            if not info.type.HasField("tensor_type"):
                raise CompileError.single("BNN006", f"input {info.name} is not a tensor", node=info.name)
        given = self._by_name(inputs)
        library, frozen = self._library(given)
        results = library.run([np.asarray(given[name]) for name in self.inputs if name not in frozen])
        names = [info.name for info in self.model.graph.output]
        outputs = [_declared(info, array) for info, array in zip(self.model.graph.output, results, strict=True)]
        return namedtupledict("Outputs", names)(*outputs)

    def _by_name(self, inputs: Any) -> dict[str, Any]:  # noqa: ANN401
        if isinstance(inputs, dict):
            return inputs
        given = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        if len(given) != len(self.inputs):
            message = f"{plural(len(given), 'input')} given, the model has {len(self.inputs)}"
            raise CompileError.single("BNN022", message)
        return dict(zip(self.inputs, given, strict=True))

    def _library(self, given: dict[str, Any]) -> tuple[HostLibrary, tuple[str, ...]]:
        """The library for these inputs, and the names of those that are compiled in."""
        empty = tuple(name for name in self.inputs if np.size(given[name]) == 0)
        full = [name for name in self.inputs if name not in empty]
        choices = [self._frozen] if self._frozen is not None else [empty + more for more in _choices(full)]
        problems: list[CompileError] = []
        for frozen in choices:
            key = (frozen, *(np.asarray(given[name]).tobytes() for name in frozen))
            try:
                if key not in self._libraries:
                    self._libraries[key] = self._build(frozen, given)
            except CompileError as error:
                problems.append(error)
                continue
            self._frozen = frozen
            return self._libraries[key], frozen
        raise problems[min(1, len(problems) - 1)]  # with everything but the first input known, if that was tried

    def _build(self, frozen: tuple[str, ...], given: dict[str, Any]) -> HostLibrary:
        """Compile, with some inputs turned into constants, and build."""
        compiled: Compiled = compile_model(specialised(self.model, {n: given[n] for n in frozen}), self.options)
        folder = Path(self._folder.name) / str(len(self._libraries))
        return build_shared(compiled.files, compiled.manifest, folder, opt=self.optimize)


def _choices(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Sets of inputs to compile in: none, then all but one."""
    yield ()
    if len(names) > 1:
        for kept in names:
            yield tuple(name for name in names if name != kept)


def specialised(model: onnx.ModelProto, values: dict[str, Any]) -> onnx.ModelProto:
    """The model with some inputs replaced by constants."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    kept = [info for info in found.graph.input if info.name not in values]
    del found.graph.input[:]
    found.graph.input.extend(kept)
    found.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in values.items())
    return found


def _declared(info: onnx.ValueInfoProto, array: np.ndarray) -> np.ndarray:
    """A result in the element type that the model declares; C has no 64-bit tensors."""
    kind = info.type.tensor_type.elem_type
    return np.asarray(array.astype(helper.tensor_dtype_to_np_dtype(kind)) if kind else array)


class Bnn2cBackend(Backend):
    """`onnx.backend` by way of C."""

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:  # noqa: ANN401
        """Whether the model compiles as it is; one that must be specialised to its inputs may run nevertheless."""
        try:
            compile_model(model, Options(name="model", **kwargs))
        except CompileError:
            return False
        return cls.supports_device(device)

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> Bnn2cRep:  # noqa: ANN401
        """Make a model ready to run.

        Args:
            model: the model.
            device: only "CPU".
            **kwargs: fields of `bnn2c.options.Options`, and `cc_optimize`, the C compiler's flag ("-O2").

        Raises:
            ValueError: for another device.
        """
        if not cls.supports_device(device):
            raise ValueError(f"device {device} is not supported")
        optimize = kwargs.pop("cc_optimize", "-O2")
        return Bnn2cRep(model, Options(**{"name": "model", **kwargs}), optimize)

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> Any:  # noqa: ANN401
        """Compile, build and run once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,  # noqa: ANN401
        device: str = "CPU",
        outputs_info: Any = None,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Run one node as a model of its own.

        Args:
            node: the node.
            inputs: one array per operand that is not absent.
            device: only "CPU".
            outputs_info: (element type, shape) per output; ranks and types are inferred when it is None.
            **kwargs: as for `prepare`.
        """
        arrays = [np.asarray(array) for array in (inputs.values() if isinstance(inputs, dict) else inputs)]
        names = [name for name in node.input if name]
        made = [helper.make_tensor_value_info(n, _kind(a.dtype), a.shape) for n, a in zip(names, arrays, strict=True)]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        if outputs_info is not None:
            told = zip(outputs, outputs_info, strict=True)
            outputs = [helper.make_tensor_value_info(o.name, _kind(k), shape) for o, (k, shape) in told]
        graph = helper.make_graph([node], "node", made, outputs)
        model = helper.make_model(graph, opset_imports=kwargs.pop("opset_imports", None))
        model = model if outputs_info is not None else onnx.shape_inference.infer_shapes(model, data_prop=True)
        return cls.run_model(model, arrays, device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Only the CPU of this machine."""
        return device.upper().partition(":")[0] == "CPU"


def _kind(dtype: Any) -> int:  # noqa: ANN401 - a numpy type or an ONNX one
    """ONNX element type."""
    return dtype if isinstance(dtype, int) else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


is_compatible = Bnn2cBackend.is_compatible
prepare = Bnn2cBackend.prepare
run_model = Bnn2cBackend.run_model
run_node = Bnn2cBackend.run_node
supports_device = Bnn2cBackend.supports_device
