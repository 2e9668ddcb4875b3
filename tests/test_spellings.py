"""One random network in every exporter's spelling: the same C but for names, comments and the model's hash."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from models import SCALE, Array, Net, compiled, ort_run, random_pixels, real
from onnx import TensorProto, helper
from spellings import (
    ACTIVATIONS,
    CONVOLUTIONS,
    DENSE,
    FLATTEN,
    NORMS,
    WEIGHTS,
    Network,
    Spelling,
    random_cnn,
    random_mlp,
    write,
)

from bnn2c.options import Options
from bnn2c.pipeline import Compiled, compile_model
from bnn2c.toolchain import HostLibrary, build_shared

MLP = random_mlp(1, 100, 33, 17, 10)
CNN = random_cnn(2, 12, (1, 17, 33), 10)
NETWORKS = {"mlp": MLP, "cnn": CNN}
SPELLINGS = [
    *(("mlp", Spelling(act=act)) for act in ACTIVATIONS),
    *(("cnn", Spelling(act=act)) for act in ACTIVATIONS),
    *((name, Spelling(weight=weight)) for name in NETWORKS for weight in WEIGHTS),
    *((name, Spelling(norm=norm)) for name in NETWORKS for norm in NORMS),
    *((name, Spelling(fuse=True, weight=weight)) for name in NETWORKS for weight in ("folded", "cast", "transposed")),
    *(("mlp", Spelling(dense=dense)) for dense in DENSE),
    *(("cnn", Spelling(conv=conv)) for conv in CONVOLUTIONS),
    *(("cnn", Spelling(flatten=flatten)) for flatten in FLATTEN),
    *(("cnn", Spelling(act=act, pool_last=True)) for act in ("sign", "larq", "where_lt", "bipolar_quant")),
    *((name, Spelling(opset=opset, dense="matmul")) for name in NETWORKS for opset in range(9, 25)),
    *((name, Spelling("cast", opset=opset, dense="gemm")) for name in NETWORKS for opset in (7, 8)),
    *((name, Spelling(dtype=dtype)) for name in NETWORKS for dtype in (np.float64, np.float16)),
]


def label(value: Any) -> str:
    if not isinstance(value, Spelling):
        return str(value)
    changed = [f"{k}={v}" for k, v in vars(value).items() if v != getattr(Spelling, k)]
    return ",".join(changed) or "default"


def code_of(found: Compiled) -> dict[str, str]:
    """The C files without comments and without the model's hash."""
    texts = {name: re.sub(r"/\*.*?\*/", "", text, flags=re.S) for name, text in found.files.items()}
    texts = {name: re.sub(r'"[0-9a-f]{64}"', '""', text) for name, text in texts.items()}
    return {name: re.sub(r"[ \t]+\n", "\n", text) for name, text in texts.items()}


def build(model: onnx.ModelProto) -> Compiled:
    return compiled(model, input_scale=SCALE)


@cache
def standard(name: str) -> Compiled:
    return build(write(NETWORKS[name], Spelling()))


def assert_same_code(found: Compiled, expected: Compiled) -> None:
    made, wanted = code_of(found), code_of(expected)
    assert sorted(made) == sorted(wanted)
    for name, text in made.items():
        assert text.splitlines() == wanted[name].splitlines(), name


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], HostLibrary]:
    """The standard spelling of each network, built once."""

    def make(name: str) -> HostLibrary:
        return build_shared(standard(name).files, standard(name).manifest, tmp_path_factory.mktemp(name))

    return cache(make)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_standard_spelling_is_right(name: str, host: Callable[[str], HostLibrary]) -> None:
    network, rng = NETWORKS[name], np.random.default_rng(3)
    model, shape = write(network, Spelling()), standard(name).manifest["inputs"][0]["shape"]
    for _ in range(5):
        pixels = random_pixels(rng, *shape)
        np.testing.assert_array_equal(host(name).run([pixels])[0], ort_run(model, [real(pixels)])[0])


@pytest.mark.parametrize("name", NETWORKS)
def test_no_work_is_real_and_nothing_is_rearranged(name: str) -> None:
    layers = standard(name).manifest["layers"]
    assert sum(layer["real_macs"] for layer in layers) == 0
    work = sum(layer.signs.size for layer in NETWORKS[name].denses)
    size = NETWORKS[name].size
    for layer in NETWORKS[name].convs:
        work, size = work + layer.signs.size * size * size, size // 2
    assert sum(layer["binary_macs"] for layer in layers) == work
    assert not [layer for layer in layers if layer["op"] == "rearrange"]


@pytest.mark.parametrize(("name", "how"), SPELLINGS, ids=label)
def test_every_spelling_gives_the_same_code(name: str, how: Spelling) -> None:
    assert_same_code(build(write(NETWORKS[name], how)), standard(name))


@pytest.mark.parametrize("seed", range(12))
def test_random_combinations_give_the_same_code(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def pick(table: dict[str, Any]) -> str:
        return str(rng.choice(sorted(table)))

    how = Spelling(
        pick(ACTIVATIONS), pick(WEIGHTS), pick(NORMS), bool(rng.integers(2)), pick(DENSE), pick(CONVOLUTIONS),
        pick(FLATTEN), False, int(rng.integers(13, 22)),
    )  # fmt: skip
    widths = [int(w) for w in rng.choice([7, 17, 31, 33, 64, 65, 100], 3)]
    mlp, cnn = random_mlp(seed, *widths, 10), random_cnn(seed, 8, (1, widths[0], widths[1]), widths[2], 5)
    for network in (mlp, cnn):
        assert_same_code(build(write(network, how)), build(write(network, Spelling())))


# --- the same graph in another container ------------------------------------------------------------------------------


def constants_as_nodes(model: onnx.ModelProto) -> None:
    nodes = [helper.make_node("Constant", [], [t.name], value=t) for t in model.graph.initializer]
    nodes += list(model.graph.node)
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)


def initializers_as_inputs(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))


def batch(size: str | None) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        for port in [*model.graph.input, *model.graph.output]:
            dim = port.type.tensor_type.shape.dim[0]
            dim.Clear()
            if size:
                dim.dim_param = size

    return change


def hostile_names(model: onnx.ModelProto) -> None:
    """Other names for all inner values and nodes, in an order that does not follow the graph."""
    keep = {p.name for p in [*model.graph.input, *model.graph.output]}
    names = sorted({v for node in model.graph.node for v in [*node.input, *node.output]} - keep - {""})
    other = {name: f"/{(i * 7919) % 1000:03d} */{i}" for i, name in enumerate(names)}
    for i, node in enumerate(model.graph.node):
        node.name = f"n{(i * 31) % 97}" if i % 3 else ""
        node.input[:] = [other.get(v, v) for v in node.input]
        node.output[:] = [other.get(v, v) for v in node.output]
    for tensor in model.graph.initializer:
        tensor.name = other.get(tensor.name, tensor.name)


def dead_nodes(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Sign", ["x"], ["unused"]))
    model.graph.node.append(helper.make_node("Neg", ["unused"], ["unused too"]))


def as_function(model: onnx.ModelProto) -> None:
    """The whole network as one model-local function."""
    graph, opset = model.graph, model.opset_import[0].version
    nodes = [helper.make_node("Constant", [], [t.name], value=t) for t in graph.initializer] + list(graph.node)
    body = helper.make_function("local", "Net", ["x"], [graph.output[0].name], nodes, [helper.make_opsetid("", opset)])
    del graph.node[:], graph.initializer[:]
    graph.node.append(helper.make_node("Net", ["x"], [graph.output[0].name], "whole", domain="local"))
    model.functions.append(body)
    model.opset_import.append(helper.make_opsetid("local", 1))


def in_constant_if(model: onnx.ModelProto) -> None:
    """The whole network in the branch that is always taken."""
    graph = model.graph
    y = graph.output[0]
    other = helper.make_graph([helper.make_node("Identity", ["zeros"], ["other"])], "never", [], [
        helper.make_tensor_value_info("other", TensorProto.FLOAT, [1, 10])
    ])  # fmt: skip
    inner = helper.make_graph(list(graph.node), "always", [], [y])
    for node in inner.node:
        node.output[:] = [f"{o}_inside" if o == y.name else o for o in node.output]
    inner.output[0].name = f"{y.name}_inside"
    del graph.node[:]
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "training"))
    graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((1, 10), np.float32), "zeros"))
    graph.node.append(helper.make_node("If", ["training"], [y.name], "branch", then_branch=inner, else_branch=other))


def in_constant_loop(model: onnx.ModelProto) -> None:
    """The first subtraction of 0.5 as ten rounds of a loop that subtracts 0.05 in exact halves: 2 rounds of 0.25."""
    graph = model.graph
    first = graph.node[0]
    assert first.op_type == "Sub"
    quarter = onnx.numpy_helper.from_array(np.float32(0.25), "quarter")
    ports = [("round", TensorProto.INT64, []), ("go", TensorProto.BOOL, []), ("state", TensorProto.FLOAT, None)]
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Sub", ["state", "quarter"], ["next"])],
        "body",
        [helper.make_tensor_value_info(*port) for port in ports],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
        [quarter],
    )
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(2), "rounds"))
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "start"))
    loop = helper.make_node("Loop", ["rounds", "start", "x"], [first.output[0]], "loop", body=body)
    graph.node[0].CopyFrom(loop)


CONTAINERS: dict[str, Callable[[onnx.ModelProto], None]] = {
    "constants_as_nodes": constants_as_nodes,
    "initializers_as_inputs": initializers_as_inputs,
    "batch_with_a_name": batch("N"),
    "batch_without_a_name": batch(None),
    "names": hostile_names,
    "dead_nodes": dead_nodes,
    "function": as_function,
    "if": in_constant_if,
}


@pytest.mark.parametrize("change", CONTAINERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_container_gives_the_same_code(name: str, change: str) -> None:
    model = write(NETWORKS[name], Spelling())
    CONTAINERS[change](model)
    assert_same_code(build(model), standard(name))


def test_a_constant_loop_is_unrolled() -> None:
    model = write(MLP, Spelling())
    in_constant_loop(model)
    assert_same_code(build(model), standard("mlp"))


def test_external_data_gives_the_same_code(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(write(CNN, Spelling()), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").stat().st_size > 4 * sum(layer.signs.size for layer in CNN.convs)
    assert_same_code(compile_model(path, Options(name="net", input_scale=SCALE)), standard("cnn"))


def channels_last(network: Network) -> onnx.ModelProto:
    """tf2onnx: an NHWC graph with a Transpose on both sides of every Conv and MaxPool, and an NHWC flatten."""
    n = Net()
    x = n.add("Sub", n.input([1, network.size, network.size, network.convs[0].signs.shape[1]]), 0.5)
    size = network.size
    for layer in network.convs:
        x = n.add("Transpose", n.chain(x, ("Sign",), ("Add", 0.1), ("Sign",)), perm=[0, 3, 1, 2])
        x = n.add("Transpose", n.add("Conv", x, layer.weights, auto_pad="SAME_UPPER"), perm=[0, 2, 3, 1])
        shift = layer.beta - layer.mean * layer.factor
        x = n.chain(x, ("Mul", layer.factor), ("Add", shift))
        x = n.add("MaxPool", n.add("Transpose", x, perm=[0, 3, 1, 2]), kernel_shape=[2, 2], strides=[2, 2])
        x, size = n.add("Transpose", x, perm=[0, 2, 3, 1]), size // 2
    (last,) = network.denses
    channels = network.convs[-1].signs.shape[0]
    weights = last.weights.reshape(-1, channels, size, size).transpose(0, 2, 3, 1).reshape(len(last.signs), -1)
    flat = n.reshape(n.chain(x, ("Sign",), ("Add", 0.1), ("Sign",)), -1, size * size * channels)
    y = n.add("Add", n.add("MatMul", flat, weights.T), last.beta)
    return n.model(n.named(y, "y"), shape=[1, len(last.signs)])


def test_a_channels_last_graph_gives_the_same_code() -> None:
    assert_same_code(build(channels_last(CNN)), standard("cnn"))


def test_a_channels_last_graph_of_several_channels_moves_nothing() -> None:
    found = build(channels_last(random_cnn(4, 12, (3, 32, 40), 10)))
    assert "rearrange" not in {layer["op"] for layer in found.manifest["layers"]}
    assert sum(layer["real_macs"] for layer in found.manifest["layers"]) == 0


# --- numbers that are rounded -----------------------------------------------------------------------------------------


def rounded(network: Network, seed: int) -> Network:
    """The same signs with parameters as training leaves them."""
    rng = np.random.default_rng(seed)

    def change(layer: Any) -> Any:
        size = len(layer.alpha)

        def draw(mean: float, spread: float) -> Array:
            return rng.normal(mean, spread, size).astype(np.float32)

        return replace(
            layer, alpha=np.abs(draw(0.3, 0.1)) + np.float32(0.01), gamma=draw(0, 1), beta=draw(0, 1), mean=draw(0, 2),
            var=np.abs(draw(4, 2)) + np.float32(0.1),
        )  # fmt: skip

    return replace(network, convs=[change(w) for w in network.convs], denses=[change(w) for w in network.denses])


VARIED = [
    Spelling(),
    Spelling("larq", "sign", "mul_add", dense="matmul", conv="same_upper"),
    Spelling("where_lt", "mean_abs", "chain", dense="gemm_factors", conv="pad_op"),
    Spelling("cast", "dequantised", "power", dense="conv_1x1", conv="channels_last"),
    Spelling("bipolar_quant", "transposed", fuse=True, dense="einsum"),
    Spelling("tanh", "folded", fuse=True, dense="matmul_left", pool_last=True),
]


@pytest.mark.parametrize("name", NETWORKS)
def test_rounded_numbers_give_the_same_outputs(name: str) -> None:
    """Each spelling rounds its constants in its own way; only a tie could make a difference."""
    network, rng = rounded(NETWORKS[name], 5), np.random.default_rng(6)
    found = [build(write(network, how)) for how in VARIED]
    shape = found[0].manifest["inputs"][0]["shape"]
    for _ in range(10):
        pixels = random_pixels(rng, *shape)
        reference = ort_run(write(network, Spelling()), [real(pixels)])[0]
        for one in found:
            np.testing.assert_allclose(one.reference([pixels])[0], reference, rtol=1e-5, atol=1e-5)
    for one in found:
        assert sum(layer["real_macs"] for layer in one.manifest["layers"]) == 0
