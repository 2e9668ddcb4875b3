"""Small networks from which the fuzzers start: one per family of the importer, a few kilobytes each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
MAX_CORPUS_BYTES = 120_000


def signs(*shape: int) -> np.ndarray:
    """Random +1/-1 weights."""
    return np.where(np.random.default_rng(sum(shape)).random(shape) < 0.5, -1, 1).astype(np.float32)


def model(
    nodes: Sequence[onnx.NodeProto], shape: Sequence[int], constants: dict[str, np.ndarray], rank: int, opset: int = 17
) -> onnx.ModelProto:
    """A model from `x` to `y`; of the shape of `y` only the rank is given."""
    graph = helper.make_graph(
        list(nodes),
        "seed",
        [helper.make_tensor_value_info("x", FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", FLOAT, [None] * rank)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def node(op: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    """A node; the names are separated by blanks, `-` is an absent operand."""
    given = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op, given, outputs.split(), name=f"{op}_{outputs.split()[0]}", **attributes)


def mlp() -> onnx.ModelProto:
    """Two binary dense layers with BatchNormalization between them."""
    norm = {
        name: np.linspace(start, 1.5, 8, dtype=np.float32)
        for name, start in [("g", -1), ("b", -2), ("m", -3), ("v", 1)]
    }
    nodes = [
        node("Flatten", "x", "f"),
        node("Sign", "f", "s"),
        node("MatMul", "s w1", "d"),
        node("BatchNormalization", "d g b m v", "n"),
        node("Sign", "n", "t"),
        node("Gemm", "t w2 c", "y", transB=1),
    ]
    return model(nodes, [1, 4, 8], {"w1": signs(32, 8), "w2": signs(3, 8), "c": np.ones(3, np.float32), **norm}, 2)


def cnn() -> onnx.ModelProto:
    """Padded binary convolution, pools, a real convolution, softmax."""
    nodes = [
        node("Sign", "x", "s"),
        node("Conv", "s k", "c", pads=[1, 1, 1, 1], strides=[1, 1]),
        node("MaxPool", "c", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Add", "p o", "a"),
        node("Sign", "a", "t"),
        node("Conv", "t r", "e", dilations=[2, 2], auto_pad="SAME_UPPER"),
        node("AveragePool", "e", "v", kernel_shape=[2, 2], ceil_mode=1),
        node("GlobalAveragePool", "v", "w"),
        node("Flatten", "w", "f"),
        node("Softmax", "f", "y", axis=1),
    ]
    real = np.random.default_rng(1).standard_normal((2, 4, 3, 3)).astype(np.float32)
    return model(nodes, [1, 2, 8, 8], {"k": signs(4, 2, 3, 3), "o": np.full((4, 1, 1), 0.5, np.float32), "r": real}, 2)


def movers() -> onnx.ModelProto:
    """Operators that only rearrange, with computed shapes."""
    nodes = [
        node("Transpose", "x", "a", perm=[0, 2, 3, 1]),
        node("Shape", "a", "s"),
        node("Gather", "s i", "h"),
        node("Concat", "one h m", "t", axis=0),
        node("Reshape", "a t", "b"),
        node("Slice", "b from to axes", "c"),
        node("Pad", "c pads", "d"),
        node("Tile", "d reps", "e"),
        node("Split", "e", "f g", axis=2),
        node("Concat", "g f", "h2", axis=2),
        node("Expand", "h2 wide", "j"),
        node("Unsqueeze", "j axes", "k"),
        node("Squeeze", "k axes", "l"),
        node("ReduceSum", "l axes", "n", keepdims=0),
        node("Clip", "n lo hi", "y"),
    ]
    whole = {"i": [1], "one": [1], "m": [-1], "from": [1], "to": [3], "axes": [1], "reps": [1, 2, 1], "wide": [1, 1, 1]}
    constants = {name: np.asarray(value, np.int64) for name, value in whole.items()}
    constants |= {"pads": np.asarray([0, 1, 0, 0, 1, 2], np.int64), "lo": np.float32(-3), "hi": np.float32(3)}
    return model(nodes, [1, 2, 4, 4], constants, 2)


def quantised() -> onnx.ModelProto:
    """QONNX quantisers and QuantizeLinear."""
    nodes = [
        node("QuantizeLinear", "x q z", "a"),
        node("DequantizeLinear", "a q z", "b"),
        node(
            "Quant", "b q zero bits", "c", domain="qonnx.custom_op.general", signed=1, narrow=0, rounding_mode="ROUND"
        ),
        node("MatMul", "c w", "d"),
        node("MultiThreshold", "d th", "e", domain="qonnx.custom_op.general", out_scale=2.0, out_bias=-1.0),
        node("BipolarQuant", "e q", "f", domain="qonnx.custom_op.general"),
        node("Mul", "f f", "y"),
    ]
    constants = {
        "q": np.float32(0.25),
        "z": np.uint8(3),
        "zero": np.float32(0),
        "bits": np.float32(2),
        "w": signs(6, 4),
        "th": np.asarray([[-1, 0.5]] * 4, np.float32),
    }
    made = model(nodes, [1, 6], constants, 2)
    made.opset_import.append(helper.make_opsetid("qonnx.custom_op.general", 1))
    return made


def control() -> onnx.ModelProto:
    """`If` and `Loop` with constant conditions, subgraphs that see outer names, a Constant node."""
    value = helper.make_tensor_value_info
    then = helper.make_graph([node("Neg", "x", "tn")], "then", [], [value("tn", FLOAT, [None, None])])
    other = helper.make_graph([node("Abs", "x", "on")], "else", [], [value("on", FLOAT, [None, None])])
    ins = [value("i", TensorProto.INT64, []), value("k", TensorProto.BOOL, []), value("u", FLOAT, [None, None])]
    steps = [node("Add", "u r", "v"), node("Identity", "k", "kk"), node("Identity", "v", "scan")]
    outs = [value("kk", TensorProto.BOOL, []), value("v", FLOAT, [None, None]), value("scan", FLOAT, [None, None])]
    body = helper.make_graph(steps, "body", ins, outs)
    nodes = [
        node("Constant", "", "r", value=numpy_helper.from_array(np.float32([0.5]))),
        node("If", "yes", "r1", then_branch=then, else_branch=other),
        node("Loop", "trips yes r1", "r2 r3", body=body),
        node("Sign", "r2", "s"),
        node("Mul", "s r3", "y"),
    ]
    return model(nodes, [1, 3], {"yes": np.asarray(True), "trips": np.asarray(3, np.int64)}, 3)


def recurrent() -> onnx.ModelProto:
    """A GRU and an LSTM of binary weights."""
    nodes = [
        node("GRU", "x w r", "h -", hidden_size=3),
        node("Squeeze", "h one", "s"),
        node("LSTM", "s w4 r4", "l", hidden_size=3, direction="forward"),
        node("ArgMax", "l", "y", axis=3),
    ]
    constants = {
        "w": signs(1, 9, 4),
        "r": signs(1, 9, 3),
        "w4": signs(1, 12, 3),
        "r4": signs(1, 12, 3),
        "one": np.asarray([1], np.int64),
    }
    return model(nodes, [2, 1, 4], constants, 4)


def functions() -> onnx.ModelProto:
    """A model-local function and operators with formulae."""
    inner = helper.make_function(
        "local",
        "Twice",
        ["a"],
        ["b"],
        [node("Add", "a a", "c"), node("HardSwish", "c", "b")],
        [helper.make_opsetid("", 20)],
    )
    nodes = [
        node("Twice", "x", "t", domain="local"),
        node("PRelu", "t s", "p"),
        node("LayerNormalization", "p g", "l"),
        node("Resize", "l - scales", "r", mode="nearest"),
        node("Gelu", "r", "u"),
        node("Elu", "u", "y"),
    ]
    made = model(
        nodes,
        [1, 2, 4],
        {
            "s": np.full((2, 1), 0.25, np.float32),
            "g": np.ones(4, np.float32),
            "scales": np.asarray([1, 1, 2], np.float32),
        },
        3,
        opset=20,
    )
    made.functions.append(inner)
    made.opset_import.append(helper.make_opsetid("local", 1))
    return made


SEEDS: tuple[Callable[[], onnx.ModelProto], ...] = (mlp, cnn, movers, quantised, control, recurrent, functions)


def seed_files() -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every seed: those above, then the small models of the folder that BNN2C_CORPUS names."""
    for make in SEEDS:
        yield make.__name__, make().SerializeToString(deterministic=True)
    folder = os.environ.get("BNN2C_CORPUS")
    for path in sorted(Path(folder).rglob("*.onnx")) if folder else []:
        if path.stat().st_size <= MAX_CORPUS_BYTES:
            yield path.stem, path.read_bytes()
