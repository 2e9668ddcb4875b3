"""Hostile models: mutated files, limits, files outside of the model's folder. Only diagnostics may come out."""

from __future__ import annotations

import gzip
import os
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mutate import Outcome, campaign, compile_bytes, store, stored
from seeds import SEEDS, cnn, mlp, model, node, signs

from bnn2c.errors import CompileError
from bnn2c.importer import load, load_model
from bnn2c.options import Options
from bnn2c.pipeline import compile_model

BUDGET = 300


def _failures(outcomes: list[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.finding]


@pytest.mark.parametrize("make", SEEDS, ids=lambda make: make.__name__)
def test_seed_compiles(make) -> None:
    assert compile_bytes(make().SerializeToString(), 0) == ("ok", "")


def test_mutations_lead_to_c_or_to_diagnostics() -> None:
    assert _failures(list(campaign(range(BUDGET)))) == []


def test_files_that_were_findings() -> None:
    outcomes = list(campaign(stored()))
    assert len(outcomes) >= 5
    assert _failures(outcomes) == []


@pytest.mark.fuzz
@pytest.mark.parametrize("block", range(int(os.environ.get("N", "5000")) // 500))
def test_campaign(block: int) -> None:
    """`make fuzz N=10000`; the files of findings become regression tests."""
    first = int(os.environ.get("BNN2C_FUZZ_FIRST", str(int(time.time()) % 10**6 * 1000))) + 500 * block
    found = _failures(list(campaign(range(first, first + 500), processes=1)))
    assert found == [], [store(outcome) for outcome in found]


def _refused(source: object, code: str, **options: object) -> None:
    with pytest.raises(CompileError) as caught:
        compile_model(source, Options(**options))  # type: ignore[arg-type]
    assert code in {one.code for one in caught.value.diagnostics}


def _one(op: str, constants: dict[str, np.ndarray], rank: int = 2, **attributes: object) -> onnx.ModelProto:
    """A model of one operator on x [1, 4]."""
    return model([node(op, " ".join(["x", *constants]), "y", **attributes)], [1, 4], constants, rank)


HUGE = np.asarray([1 << 20, 1 << 20], np.int64)


@pytest.mark.parametrize(
    "made",
    [
        _one("Expand", {"shape": HUGE}),
        _one("Tile", {"repeats": HUGE}),
        _one("Pad", {"pads": np.asarray([1 << 40, 0, 0, 0], np.int64)}),
        _one("Resize", {"roi": np.zeros(0, np.float32), "scales": np.asarray([1, 1e9], np.float32)}),
        _one("Gather", {"i": np.zeros(9_000_000, np.int64)}),
        model(
            [node("OneHot", "x depth values", "y")],
            [1, 4],
            {"depth": np.asarray(1 << 40), "values": np.float32([0, 1])},
            3,
        ),
    ],
    ids=["Expand", "Tile", "Pad", "Resize", "Gather", "OneHot"],
)
def test_sizes_are_limited_before_memory_is_taken(made: onnx.ModelProto) -> None:
    start = time.process_time()
    _refused(made, "BNN009")
    assert time.process_time() - start < 10


@pytest.mark.parametrize("op", ["ConstantOfShape", "RandomNormal"])
def test_constants_are_neither_huge_nor_random(op: str) -> None:
    made = node(op, "huge", "c") if op == "ConstantOfShape" else node(op, "", "c", shape=[1, 4])
    _refused(
        model([made, node("Add", "x c", "y")], [1, 4], {"huge": HUGE} if op == "ConstantOfShape" else {}, 2), "BNN005"
    )


def test_constants_that_vanish_again_are_limited() -> None:
    """2,000 elements, of which only the sum is left."""
    nodes = [node("ConstantOfShape", "n", "c"), node("ReduceSum", "c", "s"), node("Add", "x s", "y")]
    made = model(nodes, [1, 4], {"n": np.asarray([2000], np.int64)}, 2)
    compile_model(made, Options(max_tensor_bytes=16 * 2000))
    _refused(made, "BNN005", max_tensor_bytes=16 * 1999)


def test_options_raise_and_lower_the_limits() -> None:
    compile_model(mlp(), Options(max_nodes=40))
    _refused(mlp(), "BNN009", max_nodes=3)
    _refused(cnn(), "BNN009", max_tensor_bytes=64)


def test_a_constant_alone_may_exceed_the_limit() -> None:
    """149 elements are allowed for computed tensors here, which have 40 and 15; the weights have 2,400 bytes."""
    made = model([node("MatMul", "x w", "y")], [1, 40], {"w": np.ones((40, 15), np.float32)}, 2)
    compile_model(made, Options(max_tensor_bytes=2400))
    _refused(made, "BNN009", max_tensor_bytes=2399)


def test_nodes_of_unrolled_loops_count() -> None:
    body = helper.make_graph(
        [node("Identity", "going", "on"), node("Relu", "a", "b"), node("Neg", "b", "c")],
        "body",
        [helper.make_tensor_value_info(n, k, s) for n, k, s in (("i", 7, []), ("going", 9, []), ("a", 1, [1, 4]))],
        [helper.make_tensor_value_info(n, k, s) for n, k, s in (("on", 9, []), ("c", 1, [1, 4]))],
    )
    made = model(
        [node("Loop", "count always x", "y", body=body)],
        [1, 4],
        {"count": np.asarray(20), "always": np.asarray(True)},
        2,
    )
    compile_model(made, Options(max_nodes=400))
    _refused(made, "BNN009", max_nodes=40)


def test_functions_that_explode_or_recurse_are_refused() -> None:
    opset = helper.make_opsetid("", 17)
    local = helper.make_opsetid("l", 1)
    functions = [helper.make_function("l", "f0", ["a"], ["b"], [node("Relu", "a", "b")], [opset])]
    for level in range(1, 30):
        calls = [node(f"f{level - 1}", "a", "c", domain="l"), node(f"f{level - 1}", "c", "b", domain="l")]
        functions.append(helper.make_function("l", f"f{level}", ["a"], ["b"], calls, [opset, local]))
    made = model([node("f29", "x", "y", domain="l")], [1, 4], {}, 2)
    made.functions.extend(functions)
    made.opset_import.append(local)
    _refused(made, "BNN009")
    made.functions[0].node[0].CopyFrom(node("f29", "a", "b", domain="l"))
    _refused(made, "BNN003")


def test_long_chains_are_quick() -> None:
    count = 4000
    names = ["x", *[f"t{i}" for i in range(count - 1)], "y"]
    nodes = [node("Relu" if i % 2 else "Neg", names[i], names[i + 1]) for i in range(count)]
    start = time.process_time()
    assert compile_bytes(model(nodes, [1, 4], {}, 2).SerializeToString(), 0) == ("ok", "")
    assert time.process_time() - start < 10


def test_names_that_are_not_text_are_refused() -> None:
    data = mlp().SerializeToString().replace(b"Sign_s", b"Sign\xff\xfe")
    _refused(data, "BNN002")


def test_compressed_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import bnn2c.importer.load as load

    monkeypatch.setattr(load, "MAX_UNPACKED_BYTES", 1 << 20)
    path = tmp_path / "bomb.onnx.gz"
    path.write_bytes(gzip.compress(bytes(2 << 20)))
    _refused(path, "BNN009")
    path.write_bytes(gzip.compress(mlp().SerializeToString())[:-20])
    _refused(path, "BNN001")


def test_a_device_or_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    _refused(tmp_path / "pipe.onnx", "BNN001")
    _refused(Path("/dev/zero"), "BNN001")


def _external(folder: Path, location: str, **facts: str) -> Path:
    """mlp() with its first weights in another file."""
    made = mlp()
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **facts}.items():
        tensor.external_data.add(key=key, value=value)
    folder.mkdir(exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def test_external_data_beside_the_model(tmp_path: Path) -> None:
    path = _external(tmp_path, "w.bin", offset="8")
    (tmp_path / "w.bin").write_bytes(bytes(8) + signs(32, 8).tobytes())
    tensor = load_model(path).graph.initializer[0]
    np.testing.assert_array_equal(numpy_helper.to_array(tensor), signs(32, 8))


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/passwd", "missing", "", ".", "link", "folder/../../secret", "a\0b"]
)
def test_external_data_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(signs(32, 8).tobytes())
    path = _external(tmp_path / "model", location)
    (tmp_path / "model" / "link").symlink_to(tmp_path / "secret")
    _refused(path, "BNN010")


@pytest.mark.parametrize(
    "facts",
    [{"offset": "-1"}, {"offset": "1"}, {"length": "99999"}, {"length": "-4"}, {"offset": "x"}, {"length": "8"}],
)
def test_external_ranges_that_do_not_fit_are_refused(tmp_path: Path, facts: dict[str, str]) -> None:
    path = _external(tmp_path, "w.bin", **facts)
    (tmp_path / "w.bin").write_bytes(signs(32, 8).tobytes())
    with pytest.raises(CompileError) as caught:
        compile_model(path, Options())
    assert "int()" not in str(caught.value)


def test_sizes_of_files_are_limited_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _external(tmp_path, "w.bin")
    (tmp_path / "w.bin").write_bytes(bytes(4096))
    _refused(path, "BNN009", max_tensor_bytes=4095)  # the tensor itself has 1,024
    monkeypatch.setattr(load, "MAX_FILE_BYTES", path.stat().st_size - 1)
    _refused(path, "BNN009")


def test_external_data_of_a_model_without_a_folder_are_refused(tmp_path: Path) -> None:
    _refused(_external(tmp_path, "w.bin").read_bytes(), "BNN010")


HOSTILE = [
    '*/ #include "/etc/passwd"',
    "int",
    "../../x",
    "n" * 10_000,
    "ünï\u202e\n",
    "a b",
    "a?b",
    "??/",
    "\\",
    "//",
    "",
]


def test_hostile_names_become_valid_distinct_c(tmp_path: Path) -> None:
    from bnn2c.toolchain import build_shared

    names = [name for name in HOSTILE if name]
    graph = helper.make_graph(
        [helper.make_node("Sign", [name], [f"{name} out"], name=name) for name in names],
        '*/ evil("',
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in names],
        [helper.make_tensor_value_info(f"{name} out", TensorProto.FLOAT, [1, 3]) for name in names],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    compiled = compile_model(made, Options(name="kws"))
    assert not any(
        "passwd" in line and line.lstrip().startswith("#")
        for text in compiled.files.values()
        for line in text.splitlines()
    )
    inputs = [np.full((1, 3), k - 3, np.float32) for k in range(len(names))]
    library = build_shared(compiled.files, compiled.manifest, tmp_path, cflags=["-Wall", "-Wextra", "-Werror"])
    for given, got in zip(inputs, library.run(inputs), strict=True):
        np.testing.assert_array_equal(got, np.sign(given))


def test_an_operator_that_the_opset_does_not_have() -> None:
    inputs = {name: [1, 2, 3, 4] for name in "qkv"}
    ports = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()]]
    ports.append([helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 3, 4])])
    graph = helper.make_graph([helper.make_node("Attention", list("qkv"), ["y"])], "old", *ports)
    _refused(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8), "BNN003")


def test_more_axes_than_anybody_needs() -> None:
    """Each axis more made every step slower, up to 14 s."""
    axes = numpy_helper.from_array(np.arange(40), "axes")
    ports = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, None)] for name in "xy"]
    ports[0][0].type.tensor_type.shape.dim.add().dim_value = 6
    nodes = [helper.make_node("Unsqueeze", ["x", "axes"], ["u"]), helper.make_node("Sign", ["u"], ["y"])]
    graph = helper.make_graph(nodes, "deep", *ports, [axes])
    _refused(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "BNN006")


def test_infinite_levels_are_no_whole_numbers() -> None:
    """Products of two activations that are 1 or infinity."""
    data = {"zero": 0.0, "one": 1.0, "much": np.inf}
    nodes = [
        helper.make_node("GreaterOrEqual", ["x", "zero"], ["c"]),
        helper.make_node("Where", ["c", "much", "one"], ["a"]),
    ]
    nodes.append(helper.make_node("MatMul", ["a", "a"], ["y"]))
    ports = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 4])] for name in "xy"]
    stored = [numpy_helper.from_array(np.float32(value), name) for name, value in data.items()]
    graph = helper.make_graph(nodes, "infinite", *ports, stored)
    compiled = compile_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    x = np.random.default_rng(1).normal(size=(1, 4, 4)).astype(np.float32)
    a = np.where(x >= 0, np.inf, 1)
    with np.errstate(invalid="ignore"):
        wanted = a @ a
    np.testing.assert_array_equal(compiled.reference([x])[0], wanted)
    np.testing.assert_array_equal(compiled.reference([-np.ones_like(x)])[0], np.full_like(x, 4))
