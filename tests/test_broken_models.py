"""Files and graphs that cannot be compiled: every problem is named, all at once, with what to do about it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from models import Net, compiled
from onnx import TensorProto, helper
from typer.testing import CliRunner

from bnn2c.cli.app import app
from bnn2c.errors import CompileError, Diagnostic
from bnn2c.importer import load_model


def problems(model: onnx.ModelProto | bytes) -> tuple[Diagnostic, ...]:
    with pytest.raises(CompileError) as caught:
        compiled(model)
    return caught.value.diagnostics


def sums(*edges: tuple[str, str, str], out: str = "y") -> onnx.ModelProto:
    """`(name, operand, result)`: result = x + operand."""
    nodes = [helper.make_node("Add", ["x", operand], [result], name) for name, operand, result in edges]
    ends = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4])] for n in ("x", out)]
    return helper.make_model(helper.make_graph(nodes, "g", *ends), opset_imports=[helper.make_opsetid("", 17)])


def test_a_cycle_is_named_in_the_order_of_the_data() -> None:
    (found,) = problems(sums(("first", "x", "a"), ("n1", "c", "b"), ("n2", "b", "y"), ("n3", "y", "c")))
    assert (found.code, found.message) == ("BNN003", "the graph has a cycle: n1 -> n2 -> n3 -> n1")


def test_a_tensor_that_nothing_computes() -> None:
    (found,) = problems(sums(("n1", "nowhere", "y")))
    assert (found.code, found.node) == ("BNN003", "n1") and "tensor nowhere" in found.message


def test_nodes_out_of_order_are_sorted() -> None:
    """As runtimes do; nodes in order keep their places."""
    later = ("last", "d", "y"), ("other", "x", "d"), ("late", "b", "c"), ("early", "x", "b")
    model = load_model(sums(*later))
    assert [node.name for node in model.graph.node] == ["other", "last", "early", "late"]
    np.testing.assert_array_equal(compiled(sums(*later)).reference([np.ones((1, 4))])[0], np.full((1, 4), 3.0))


def test_a_node_in_front_of_a_cycle() -> None:
    """It reads from the cycle, and is on none."""
    (found,) = problems(sums(("n1", "b", "y"), ("n2", "c", "b"), ("n3", "b", "c")))
    assert (found.code, found.message) == ("BNN003", "the node reads b before n2 computes it")


@pytest.mark.parametrize("version", [5, onnx.defs.onnx_opset_version() + 1])
def test_versions_of_the_operators_that_are_not_known(version: int) -> None:
    model = sums(("n", "x", "y"))
    model.opset_import[0].version = version
    (found,) = problems(model)
    assert found.code == "BNN004" and f"the model needs opset {version};" in found.message


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"", "empty"),
        (b"hello, this is text", "not an ONNX model"),
    ],
)
def test_files_of_other_kinds_are_recognised_and_named(data: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / "kws.onnx"
    path.write_bytes(data)
    for source, name in ((data, "the file"), (path, "kws.onnx")):
        with pytest.raises(CompileError) as caught:
            load_model(source)
        (found,) = caught.value.diagnostics
        assert found.code == "BNN002" and what in found.message and found.message.startswith(name)


def test_all_operators_of_one_machine_get_the_same_cure() -> None:
    """onnxruntime's level "all" writes Conv and ReorderOutput of a domain of its own, one behind the other."""
    n = Net()
    x = n.add("Conv", n.input([1, 8, 6, 6]), np.ones((8, 8, 3, 3)), domain="com.microsoft.nchwc")
    x = n.add("ReorderOutput", x, domain="com.microsoft.nchwc", channels=8)
    found = problems(n.model(x, shape=[1, 8, 4, 4]))
    assert [one.op for one in found] == ["Conv", "ReorderOutput"]
    assert all("ORT_ENABLE_EXTENDED" in one.hint for one in found)


def test_unsupported_operators_behind_each_other_are_all_reported() -> None:
    n = Net()
    x = n.add("RandomNormalLike", n.input([1, 3, 8, 8]), name="pick")
    x = n.add("Bernoulli", n.add("GridSample", x, n.input([1, 8, 8, 2], "grid"), name="norm"), name="coin")
    x = n.add("Conv", n.add("Relu", x), np.ones((4, 3, 3, 3), np.float32))
    found = problems(n.model(n.add("Mystery", x, domain="ai.acme", name="end"), shape=[1, 4, 6, 6]))
    assert [(d.code, d.node, d.op) for d in found] == [
        ("BNN005", "pick", "RandomNormalLike"), ("BNN005", "norm", "GridSample"), ("BNN005", "coin", "Bernoulli"),
        ("BNN005", "end", "Mystery"),
    ]  # fmt: skip
    assert all("depend on the input" in d.why for d in found)
    assert [d.shapes for d in found] == ["[1, 3, 8, 8]", "[1, 3, 8, 8], [1, 8, 8, 2]", "[1, 3, 8, 8]", "[1, 4, 6, 6]"]


def test_every_problem_says_what_to_do() -> None:
    """Where no hint is given, the catalogue's advice is printed itself."""
    result = CliRunner().invoke(app, ["inspect", "no such file.onnx"])
    assert result.exit_code == 2 and "Check the path and the permissions" in result.stderr


@pytest.mark.parametrize(("text", "code"), [("1/255", 0), ("0.5", 0), ("1/0", 2), ("half", 2)])
def test_scales_may_be_fractions(text: str, code: int, tmp_path: pytest.TempPathFactory) -> None:
    n, path = Net(), f"{tmp_path}/m.onnx"
    onnx.save(n.model(n.add("MatMul", n.input([1, 4]), np.ones((4, 2), np.float32))), path)
    result = CliRunner().invoke(app, ["inspect", path, "-q", "--input-scale", text])
    assert result.exit_code == code, result.output


def test_operands_of_other_domains_that_do_not_fit_are_told_in_words() -> None:
    """Python's own words, such as "tuple index out of range", tell a user nothing."""
    n = Net()
    y = n.add("Quant", n.input([1, 3, 4, 4]), 1.0, 0.0, domain="qonnx.custom_op.general")
    (found,) = problems(n.model(y, shape=[1, 3, 4, 4]))
    assert found.code == "BNN003" and "another type, rank or number" in found.message


def test_a_slice_of_a_size_below_zero_does_not_end_the_process() -> None:
    """ONNX's shape inference aborts there; in a process of its own, so that the abort would be seen."""
    code = """
import numpy as np
import onnx
from models import Net, compiled
from bnn2c.errors import CompileError
n = Net()
y = n.add("Conv", np.zeros((8, 3, 3, 3), np.float32), n.input([1, 3, 7, 2]))
y = n.add("Slice", y, np.array([0]), np.array([4]), np.array([2]))
model = n.model(shape=[])
model.graph.output.append(onnx.helper.make_tensor_value_info(y, onnx.TensorProto.FLOAT, None))
try:
    compiled(model)
except CompileError as error:
    print(error.diagnostics[0].code)
"""
    here = Path(__file__).resolve().parent
    paths = os.pathsep.join(map(str, (here, here.parent)))
    environment = {**os.environ, "PYTHONPATH": paths}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "BNN006\n"), run.stderr


def test_a_batch_normalisation_beyond_float32_is_refused() -> None:
    n = Net()
    parameters = [np.array([value], np.float32) for value in (3e38, 0.0, 1.0, 0.0)]
    found = problems(n.model(n.add("BatchNormalization", n.input([1, 1, 4, 4]), *parameters)))
    assert [d.code for d in found] == ["BNN011"] and "beyond float32" in found[0].message
