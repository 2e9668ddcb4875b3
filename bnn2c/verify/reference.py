"""The reference: the ONNX model, executed by onnxruntime without graph optimisations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from bnn2c.toolchain import ToolchainMissing

__all__ = ["Reference", "ReferenceFailed"]

Array = npt.NDArray[Any]

_TYPES = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(bool)": "bool",
    "tensor(int64)": "int64", "tensor(int32)": "int32", "tensor(int16)": "int16", "tensor(int8)": "int8",
    "tensor(uint8)": "uint8", "tensor(uint16)": "uint16", "tensor(uint32)": "uint32", "tensor(uint64)": "uint64",
}  # fmt: skip


class ReferenceFailed(RuntimeError):
    """onnxruntime cannot load or run the model; the message is its first line."""


class Reference:
    """A model of standard operators (as `load_model` returns it) with batch 1."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Keep the model; it is loaded when it is needed."""
        self._model = model

    def run(self, feeds: Sequence[Array]) -> list[Array]:
        """Outputs of one sample, in graph order.

        Args:
            feeds: one array per graph input, of any type and of the right size.

        Raises:
            ToolchainMissing: onnxruntime is not installed.
            ReferenceFailed: it refuses the model.
        """
        return self._run(self._session, None, feeds)

    def trace(self, feeds: Sequence[Array]) -> dict[str, Array]:
        """Every tensor of the main graph of one sample that numpy has a type for, by name; raises like `run`."""
        names = [one.name for one in self._traced.get_outputs() if one.type in _TYPES]
        return dict(zip(names, self._run(self._traced, names, feeds), strict=True))

    @cached_property
    def _session(self) -> Any:  # noqa: ANN401 - onnxruntime has no types
        return _load(self._model)

    @cached_property
    def _traced(self) -> Any:  # noqa: ANN401
        """The same model with every tensor of the main graph as an output."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        names = [name for node in model.graph.node for name in node.output if name]
        del model.graph.output[:]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names))
        return _load(model)

    def _run(self, session: Any, names: list[str] | None, feeds: Sequence[Array]) -> list[Array]:  # noqa: ANN401
        given = {}
        for one, feed in zip(session.get_inputs(), feeds, strict=True):
            shape = [size if isinstance(size, int) and size > 0 else 1 for size in one.shape]
            given[one.name] = np.asarray(feed).astype(_TYPES.get(one.type, "float32")).reshape(shape)
        try:
            return [np.asarray(found) for found in session.run(names, given)]
        except Exception as error:
            raise ReferenceFailed(_first_line(error)) from error


def _load(model: onnx.ModelProto) -> Any:  # noqa: ANN401 - onnxruntime has no types
    try:
        import onnxruntime
    except ImportError as error:
        message = "onnxruntime, the reference, is not installed: pip install 'bnn2c[verify]'"
        raise ToolchainMissing(message) from error
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ReferenceFailed(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
