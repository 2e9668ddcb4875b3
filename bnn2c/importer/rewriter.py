"""What replaces one custom node: a list of standard ONNX nodes under construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from bnn2c.errors import CompileError
from bnn2c.importer.call import attributes

Constants = Mapping[str, np.ndarray]
ROUNDING_ALIASES = {"ROUND": "HALF_EVEN", "ROUND_TO_ZERO": "DOWN", "TRUNC": "DOWN"}
MAGNITUDE_ROUNDING = {
    "UP": (0.0, "Ceil"),
    "DOWN": (0.0, "Floor"),
    "HALF_UP": (0.5, "Floor"),
    "HALF_DOWN": (-0.5, "Ceil"),
}


class Rewriter:
    """Collects the replacement nodes of one custom node."""

    def __init__(
        self, node: onnx.NodeProto, constants: Constants, opset: int, ranks: Mapping[str, int] | None = None
    ) -> None:
        self.node = node
        self.attrs = attributes(node)
        self.constants = constants
        self.opset = opset
        self.ranks = ranks or {}
        self.nodes: list[onnx.NodeProto] = []

    def add(self, op: str, *inputs: str, output: str = "", **attrs: Any) -> str:  # noqa: ANN401 - ONNX attribute values
        """Append a standard node; returns its output name."""
        first = next((name for name in self.node.output if name), "")
        base = self.node.name or first
        name = output or f"{first}__{base}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], f"{base}/{op}_{len(self.nodes)}", **attrs))
        return name

    def const(self, value: object, dtype: type = np.float32) -> str:
        """A Constant node."""
        return self.add("Constant", value=numpy_helper.from_array(np.asarray(value, dtype)))

    def at_least(self, x: str, bound: str) -> str:
        """`x >= bound`, spelled so that opset 9 has it too."""
        return self.add("Not", self.add("Less", x, bound))

    def side(self, x: str, bound: str) -> str:
        """+1 where `x >= bound`, else -1, spelled so that opset 7 has it too."""
        above = self.at_least(x, bound)
        if self.opset >= 9:
            return self.add("Where", above, self.const(1.0), self.const(-1.0))
        code = self.add("Cast", above, to=onnx.TensorProto.FLOAT)
        return self.add("Sub", self.add("Mul", code, self.const(2.0)), self.const(1.0))

    def sign_beside_zero(self, x: str) -> str:
        """The sign of what is not 0; opsets 7 and 8 lack Sign."""
        return self.add("Sign", x) if self.opset >= 9 else self.side(x, self.const(0.0))

    def clip(self, x: str, low: float, high: float) -> str:
        """Between two numbers; in opset 7 Min and Max take operands of one shape."""
        if self.opset < 8:
            return self.add("Clip", x, min=low, max=high)
        return self.add("Max", self.add("Min", x, self.const(high)), self.const(low))

    def real(self, position: int) -> str:
        """An operand as float32; some exporters store scales as integers or doubles."""
        name = str(self.node.input[position])
        if name in self.constants and self.constants[name].dtype != np.float32:
            return self.add("Cast", name, to=onnx.TensorProto.FLOAT)
        return name

    def round_half_even(self, x: str) -> str:
        """ONNX Round, or its definition by Floor where opset 9 and 10 lack it."""
        if self.opset >= 11:
            return self.add("Round", x)
        up = self.add("Floor", self.add("Add", x, self.const(0.5)))
        tie = self.add("Cast", self.at_least(self.add("Sub", up, x), self.const(0.5)), to=onnx.TensorProto.FLOAT)
        even = self.add("Mul", self.add("Floor", self.add("Mul", up, self.const(0.5))), self.const(2.0))
        return self.add("Sub", up, self.add("Mul", tie, self.add("Sub", up, even)))

    def known(self, position: int, what: str) -> np.ndarray:
        """The value of an operand that must be constant."""
        name = self.node.input[position]
        if name not in self.constants:
            raise self.refuse(f"{what} of {self.node.op_type} must be constant")
        return self.constants[name]

    def refuse(self, message: str) -> CompileError:
        """A form of the operator that cannot be expressed, to be raised."""
        return CompileError.single("BNN006", message, node=self.node.name, op=self.node.op_type)

    def rank(self, default: int) -> int:
        """Number of axes of the first operand as the model states it, or `default`."""
        return self.ranks.get(self.node.input[0], default)

    def pad(self, x: str, pads: Sequence[int], value: float) -> str:
        """`Pad` with a constant, in the form of the model's opset."""
        if self.opset >= 11:
            return self.add("Pad", x, self.const(pads, np.int64), self.const(value))
        return self.add("Pad", x, pads=list(pads), value=value)

    def rounded(self, x: str, mode: str) -> str:
        """Rounding to integers; the modes are those of QONNX's quantisers, the signed ones work on magnitudes."""
        mode = ROUNDING_ALIASES.get(mode.upper(), mode.upper())
        if mode == "HALF_EVEN":
            return self.round_half_even(x)
        if mode in ("CEIL", "FLOOR"):
            return self.add(mode.capitalize(), x)
        if mode not in MAGNITUDE_ROUNDING:
            raise self.refuse(f"rounding mode {mode} is not supported")
        shift, op = MAGNITUDE_ROUNDING[mode]
        size = self.add("Abs", x)
        shifted = self.add("Add", size, self.const(shift)) if shift else size
        return self.add("Mul", self.sign_beside_zero(x), self.add(op, shifted))
