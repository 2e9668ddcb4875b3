"""Writes a trained network as ONNX and checks the file in onnxruntime."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import onnxscript
import torch
from data import Digits, scaled
from torch import nn

__all__ = ["check", "export"]

_SCOPES = "pkg.torch.onnx.name_scopes"
_FOLDED_ELEMENTS = 16
_TOLERANCE = 1e-4


def export(model: nn.Module, path: Path) -> None:
    """Write the frozen model with input `image` [1, 1, 28, 28] and output `logits` [1, 10].

    The optimiser folds small constants only: it would turn int8 weights back into float32, four times the file size.
    """
    program = torch.onnx.export(
        model,
        (torch.zeros(1, 1, 28, 28),),
        input_names=["image"],
        output_names=["logits"],
        opset_version=20,
        dynamo=True,
        optimize=False,
        verbose=False,
    )
    assert program is not None  # it is for the older exporter only
    onnxscript.optimizer.optimize(program.model, input_size_limit=_FOLDED_ELEMENTS)
    proto = program.model_proto
    _name_nodes(proto.graph)
    _remove_stack_traces(proto.graph)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Name each node after its module: the last one conv1/sign, those before it conv1/sign/GreaterOrEqual."""
    seen: Counter[str] = Counter()
    for node in reversed(graph.node):
        module = "/".join(_module_of(node))
        name = f"{module}/{node.op_type}" if seen[module] else module or node.op_type
        seen.update({module, name})
        node.name = name if seen[name] == 1 else f"{name}_{seen[name]}"


def _module_of(node: onnx.NodeProto) -> list[str]:
    """Path of the module, such as ["conv1", "norm"]; the exporter lists growing prefixes, then the operation."""
    scopes = [one.value for one in node.metadata_props if one.key == _SCOPES]
    modules = ast.literal_eval(scopes[0])[:-1] if scopes else []
    return modules[-1].split(".") if modules and modules[-1] else []


def _remove_stack_traces(graph: onnx.GraphProto) -> None:
    """Remove the exporter's notes: they hold paths of the machine and are half of the file."""
    for item in [*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer, graph]:
        item.ClearField("metadata_props")


def check(model: nn.Module, path: Path, test: Digits) -> str:
    """Compare the file in onnxruntime with the model in torch on the test digits, and say how good they are.

    Raises:
        SystemExit: when a logit of the two differs by more than 1e-4.
    """
    with torch.no_grad():
        expected = model(torch.from_numpy(scaled(test.image))).numpy()
    exported = _run(path, test)
    difference = float(np.abs(expected - exported).max())
    if difference > _TOLERANCE:
        raise SystemExit(f"{path.name}: onnxruntime and torch differ by {difference:.3g}")
    accuracy = float((exported.argmax(axis=1) == test.label).mean())
    return f"{path.name}: {accuracy:.1%} of {len(test.label)} test digits, {path.stat().st_size} bytes"


def _run(path: Path, test: Digits) -> npt.NDArray[np.float32]:
    """Logits [n, 10] of the file, one digit at a time."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"image": one[None]})[0] for one in scaled(test.image)])
