"""Operators of other domains, rewritten as standard ONNX nodes.

QONNX / Brevitas / FINN quantisers (definitions: the QONNX operator documentation) and the fused operators of ONNX
Runtime. After this rewrite every tool that understands standard ONNX can check and execute the model, onnxruntime
included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from bnn2c.errors import CompileError
from bnn2c.importer.call import attributes
from bnn2c.importer.limits import array_of

QUANTISER_DOMAINS = (
    "qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general", "finn", "qonnx.custom_op.channels_last",
    "qonnx.custom_op.channels_last.batch_normalization",
)  # fmt: skip
Constants = dict[str, np.ndarray]
MAX_THRESHOLDS = 4096


class Rewriter:
    """Collects the replacement nodes of one custom node."""

    def __init__(self, node: onnx.NodeProto, constants: Constants, opset: int) -> None:
        self.node = node
        self.attrs = attributes(node)
        self.constants = constants
        self.opset = opset
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
            raise CompileError.single(
                "BNN006", f"{what} of {self.node.op_type} must be constant", node=self.node.name, op=self.node.op_type
            )
        return self.constants[name]


def bipolar_quant(r: Rewriter) -> None:
    """`scale * (x >= 0 ? 1 : -1)`."""
    x, scale = r.node.input[0], r.real(1)
    side = r.add("Where", r.at_least(x, r.const(0.0)), r.const(1.0), r.const(-1.0))
    r.add("Mul", side, scale, output=r.node.output[0])


def _bounds(r: Rewriter, bits: float) -> tuple[float, float]:
    signed, narrow = bool(r.attrs.get("signed", 1)), bool(r.attrs.get("narrow", 0))
    if signed:
        return -(2.0 ** (bits - 1)) + narrow, 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1 - narrow


ROUNDINGS = {"CEIL": "Ceil", "FLOOR": "Floor", "UP": "Ceil", "DOWN": "Floor"}


def _rounded(r: Rewriter, x: str, mode: str) -> str:
    if mode.upper() in ("ROUND_TO_ZERO", "TRUNC"):
        return r.add("Mul", r.add("Sign", x), r.add("Floor", r.add("Abs", x)))
    if mode.upper() in ("ROUND", "HALF_EVEN"):
        return r.round_half_even(x)
    if mode.upper() not in ROUNDINGS:
        raise CompileError.single(
            "BNN006", f"rounding mode {mode} is not supported", node=r.node.name, op=r.node.op_type
        )
    return r.add(ROUNDINGS[mode.upper()], x)


def quant(r: Rewriter) -> None:
    """`(clip(round(x / scale + zero), low, high) - zero) * scale`; one signed bit is a sign with 0 -> +1."""
    x, scale, zero = r.node.input[0], r.real(1), r.real(2)
    bits = float(np.reshape(r.known(3, "the bit width"), -1)[0])
    if bits == 1 and r.attrs.get("signed", 1):
        bipolar_quant(r)
        return
    low, high = _bounds(r, bits)
    shifted = r.add("Add", r.add("Div", x, scale), zero)
    rounded = _rounded(
        r, r.add("Max", r.add("Min", shifted, r.const(high)), r.const(low)), r.attrs.get("rounding_mode", "ROUND")
    )
    r.add("Mul", r.add("Sub", rounded, zero), scale, output=r.node.output[0])


def trunc(r: Rewriter) -> None:
    """QONNX Trunc: drop least significant bits of `x / scale + zero`, keep the scale."""
    x, scale, zero = r.node.input[0], r.real(1), r.real(2)
    removed = 2.0 ** float(np.reshape(r.known(3, "the input width") - r.known(4, "the output width"), -1)[0])
    whole = r.round_half_even(r.add("Add", r.add("Div", x, scale), zero))
    kept = _rounded(r, r.add("Div", whole, r.const(removed)), r.attrs.get("rounding_mode", "FLOOR"))
    r.add("Mul", r.add("Sub", kept, zero), r.add("Mul", scale, r.const(1.0)), output=r.node.output[0])


def multi_threshold(r: Rewriter) -> None:
    """`out_bias + out_scale * #{j : x >= T[c, j]}`, channels on axis 1 (NCHW) or last (NHWC)."""
    x = r.node.input[0]
    steps = np.asarray(r.known(1, "the thresholds"), np.float32)
    if steps.ndim != 2 or steps.shape[1] > MAX_THRESHOLDS:
        raise ValueError(f"thresholds {list(steps.shape)} are not a matrix of at most {MAX_THRESHOLDS} columns")
    last = r.attrs.get("data_layout", "NCHW") == "NHWC"
    shape = "" if last or len(steps) == 1 else _channel_shape(r, x)
    total = r.const(0.0)
    for column in steps.T:
        level = r.add("Reshape", r.const(column), shape) if shape else r.const(column)
        total = r.add("Add", total, r.add("Cast", r.at_least(x, level), to=onnx.TensorProto.FLOAT))
    scaled = r.add("Mul", total, r.const(r.attrs.get("out_scale", 1.0)))
    r.add("Add", scaled, r.const(r.attrs.get("out_bias", 0.0)), output=r.node.output[0])


def _channel_shape(r: Rewriter, x: str) -> str:
    """[1, -1, 1, …] with as many axes as `x` has."""
    rank = r.add("Reshape", r.add("Size", r.add("Shape", x)), r.const([1], np.int64))
    ones = r.add(
        "ConstantOfShape",
        r.add("Sub", rank, r.const([2], np.int64)),
        value=numpy_helper.from_array(np.ones(1, np.int64)),
    )
    return r.add("Concat", r.const([1, -1], np.int64), ones, axis=0)


def xnor_popcount(r: Rewriter) -> None:
    """Number of equal bits of {0,1} matrices: `(K + (2a-1)(2w-1)) / 2`."""
    size = float(r.known(1, "the weights").shape[0])
    sides = [r.add("Sub", r.add("Mul", name, r.const(2.0)), r.const(1.0)) for name in r.node.input[:2]]
    dot = r.add("MatMul", *sides)
    r.add("Mul", r.add("Add", dot, r.const(size)), r.const(0.5), output=r.node.output[0])


def channels_last(r: Rewriter) -> None:
    """A standard operator between two transposes."""
    attrs = {k: v for k, v in r.attrs.items() if k not in ("data_layout",)}
    first = r.add("Transpose", r.node.input[0], perm=[0, 3, 1, 2])
    result = r.add(r.node.op_type, first, *r.node.input[1:], **attrs)
    r.add("Transpose", result, output=r.node.output[0], perm=[0, 2, 3, 1])


def fused(r: Rewriter) -> None:
    """ONNX Runtime's FusedConv / FusedGemm: the operator, an optional sum, an activation."""
    names = {"activation", "activation_params", "activation_alpha", "activation_beta", "activation_gamma"}
    attrs = {k: v for k, v in r.attrs.items() if k not in names}
    out = r.add(r.node.op_type.removeprefix("Fused"), *r.node.input[:3], **attrs)
    if len(r.node.input) > 3 and r.node.input[3]:
        out = r.add("Add", out, r.node.input[3])
    _activation(r, out)


def _activation(r: Rewriter, x: str) -> None:
    kind = r.attrs.get("activation", "")
    given = r.attrs.get("activation_params", [])
    alpha = r.attrs.get("activation_alpha", given[0] if given else None)
    if kind == "Clip":
        x = r.add("Max", x, r.const(given[0] if given else -np.inf))
        r.add("Min", x, r.const(given[1] if len(given) > 1 else np.inf), output=r.node.output[0])
    elif kind in ("LeakyRelu", "HardSigmoid") and alpha is not None:
        r.add(kind, x, output=r.node.output[0], alpha=float(alpha))
    else:
        r.add(kind or "Identity", x, output=r.node.output[0])


REWRITES: dict[str, Callable[[Rewriter], None]] = {
    "BipolarQuant": bipolar_quant,
    "Quant": quant,
    "IntQuant": quant,
    "Trunc": trunc,
    "MultiThreshold": multi_threshold,
    "XnorPopcountMatMul": xnor_popcount,
}
FUSED = {"FusedConv": fused, "FusedGemm": fused, "FusedMatMul": fused}
CHANNELS_LAST = {"Conv": channels_last, "MaxPool": channels_last, "BatchNormalization": channels_last}


def _rewrite_for(node: onnx.NodeProto) -> Callable[[Rewriter], None] | None:
    if node.domain in QUANTISER_DOMAINS or (not node.domain and node.op_type in REWRITES):
        table = CHANNELS_LAST if "channels_last" in node.domain else REWRITES
        return table.get(node.op_type)
    return FUSED.get(node.op_type) if node.domain == "com.microsoft" else None


def expand_custom(model: onnx.ModelProto) -> None:
    """Replace custom nodes in place; raises the diagnostics of those that cannot be expressed."""
    constants = {t.name: array_of(t) for t in model.graph.initializer if _small(t)}
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 13)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "Constant" and node.output and node.attribute and node.attribute[0].name == "value":
            constants[node.output[0]] = array_of(node.attribute[0].t)
        rewrite = _rewrite_for(node)
        if rewrite is None:
            nodes.append(node)
            continue
        nodes.extend(_rewritten(rewrite, node, constants, opset))
    _replace(model, nodes)


def replace_sign(model: onnx.ModelProto, at_zero: int) -> None:
    """Give every Sign of the graph the value that training meant at 0: `x >= 0 ? 1 : -1`, or `x > 0 ? 1 : -1`."""
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type != "Sign" or node.domain not in ("", "ai.onnx"):
            nodes.append(node)
            continue
        r = Rewriter(node, {}, 13)
        zero = r.const(0.0)
        side = r.at_least(node.input[0], zero) if at_zero > 0 else r.add("Less", zero, node.input[0])
        r.add("Where", side, r.const(1.0), r.const(-1.0), output=node.output[0])
        nodes.extend(r.nodes)
    _replace(model, nodes)


def _rewritten(
    rewrite: Callable[[Rewriter], None], node: onnx.NodeProto, constants: Constants, opset: int
) -> list[onnx.NodeProto]:
    """The nodes that replace one; a node without the operands it must have is an invalid one."""
    rewriter = Rewriter(node, constants, opset)
    try:
        rewrite(rewriter)
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        message = f"{node.op_type} is not what its definition says: {error}"
        raise CompileError.single("BNN003", message, node=node.name, op=node.op_type) from error
    return rewriter.nodes


def _small(tensor: onnx.TensorProto) -> bool:
    return int(np.prod(tensor.dims)) < 1 << 20 and tensor.data_location != onnx.TensorProto.EXTERNAL


def _replace(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Install the new nodes."""
    copies = [onnx.NodeProto.FromString(n.SerializeToString()) for n in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
