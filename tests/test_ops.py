"""Every operation on its CASES: numpy reference = C on this machine = C on every target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnn2c.emit import emit
from bnn2c.emit.manifest import Job, facts_of, manifest_of
from bnn2c.expr import Arg
from bnn2c.ir import Graph, Op, Port, TensorType
from bnn2c.ir.builder import Builder
from bnn2c.ir.check import ir_check
from bnn2c.ir.graph import NUMPY_TYPES, outputs
from bnn2c.memory import plan_memory
from bnn2c.ops import all_ops
from bnn2c.ops.best_channel import BestChannel
from bnn2c.ops.convert_layout import ConvertLayout
from bnn2c.ops.map import Map
from bnn2c.ops.paired_conv2d import PairedConv2d
from bnn2c.ops.quantize import Quantize
from bnn2c.options import Options
from bnn2c.passes.lay_diagonals import has_diagonals, lay_diagonals
from bnn2c.targets import load_target
from bnn2c.toolchain import ToolchainMissing, build_shared, require_tools, run_on_target
from bnn2c.toolchain.elf import object_sizes

Array = np.ndarray[Any, Any]
Case = tuple[Op, tuple[TensorType, ...]]
OPS = {kind: op.CASES for kind, op in all_ops().items() if op.CASES and op.CASES[0][0].kind == kind}  # not inherited
# Operations that only whole networks can show: fixed-point forms, loops over bodies, the memory of a stream.
IN_NETWORKS = {
    "loop", "history", "spaced_history", "frame_classes", "onset", "onset_conv2d", "sliding_sum",
    *(kind for kind in all_ops() if "fixed" in kind),
}  # fmt: skip
# What decides nothing by a branch on data, real numbers neither: the same number of instructions for every input.
CONSTANT_TIME = {
    "average_pool", "best_channel", "binary_conv2d", "binary_mat_mul", "byte_table", "concat", "convert_layout",
    "integer_conv2d", "level_sum", "level_values", "pooled_conv2d", "quantize", "quantized_conv2d", "rearrange",
    "sign_conv2d", "spread_planes", "ternary_conv2d",
}  # fmt: skip
SOFT_FLOAT = {"cortex-m0", "rv32imc"}  # real numbers are library calls there
DTYPES = {"f32": "float32", "i32": "int32", "i8": "int8", "u8": "uint8"}


def test_every_operation_has_cases() -> None:
    assert set(all_ops()) - set(OPS) - IN_NETWORKS == set()


def quantiser(kind: TensorType) -> Quantize:
    """Bytes 0, 1, 2, … to these codes."""
    levels = 1 << kind.planes
    breaks = np.broadcast_to(np.arange(1.0, levels), (1, 1, kind.shape[2], levels - 1))
    codes = np.broadcast_to(np.arange(levels, dtype=np.uint8), (1, 1, kind.shape[2], levels))
    rows, cols = np.zeros(kind.shape[0], np.int64), np.zeros(kind.shape[1], np.int64)
    return Quantize(breaks.copy(), codes.copy(), rows, cols, kind.planes)


def operand(builder: Builder, name: str, kind: TensorType) -> str:
    """A graph input of that type; packed codes and int16 are made from bytes and int32."""
    if kind.storage in DTYPES:
        builder.add_input(Port(name, name, kind.shape, DTYPES[kind.storage]), kind)
        return name
    outside = "u8" if kind.storage == "bits" else "i32"
    builder.add_input(Port(name, name, kind.shape, DTYPES[outside]), TensorType(kind.shape, outside))
    if kind.storage == "i16":
        return builder.emit(Map(Arg(0), kind.shape, "i16"), [name], name)
    codes = builder.emit(quantiser(kind), [name], name)
    return builder.emit(ConvertLayout("planes"), [codes], name) if kind.layout == "planes" else codes


def result(builder: Builder, name: str, value: str) -> None:
    """A graph output; packed codes and int16 as real numbers."""
    kind = builder.types[value]
    if kind.layout == "planes":
        value = builder.emit(ConvertLayout("pixels"), [value], name)
    if kind.storage not in DTYPES:
        value = builder.emit(Map(Arg(0), kind.shape), [value], name)
    kind = builder.types[value]
    builder.outputs.append(Port(name, value, kind.shape, DTYPES[kind.storage]))


def graph_of(cases: Sequence[Case]) -> Graph:
    """All cases side by side in one graph, each with inputs and an output of its own."""
    builder = Builder("cases")
    for number, (op, types) in enumerate(cases):
        values = [operand(builder, f"x{number}_{i}", kind) for i, kind in enumerate(types)]
        result(builder, f"y{number}", builder.emit(op, values, f"out{number}"))
    graph = builder.build()
    ir_check(graph)
    return graph


def feeds_of(cases: Sequence[Case], rng: np.random.Generator) -> list[Array]:
    return [random_tensor(kind, rng) for _, types in cases for kind in types]


def random_tensor(kind: TensorType, rng: np.random.Generator) -> Array:
    if kind.storage == "f32":
        return rng.standard_normal(kind.shape).astype(np.float32)
    if kind.storage == "bits":
        return rng.integers(0, 1 << kind.planes, kind.shape).astype(np.uint8)
    low, high = {"u8": (0, 255), "i8": (-128, 127)}.get(kind.storage, (-100, 100))
    dtype = np.int32 if kind.storage == "i16" else NUMPY_TYPES[kind.storage]
    return rng.integers(low, high, kind.shape, endpoint=True).astype(dtype)


def least(x: Array) -> float:
    """0 for codes and bytes, the smallest number otherwise."""
    return float(x.min()) if x.dtype.kind == "f" else 0


def generate(graph: Graph, target: str = "portable") -> tuple[dict[str, str], dict[str, Any]]:
    plan, job = plan_memory(graph), Job("cases", "0" * 64, load_target(target), Options(target=target))
    files, layers, pool = emit(graph, plan, "cases", facts_of(graph, job))
    return files, manifest_of(graph, plan, job, layers, pool.nbytes, files)


def assert_equal(found: Sequence[Array], expected: Sequence[Array], cases: Sequence[Case]) -> None:
    """Bit-exact unless the operation itself works on real numbers."""
    for number, (one, wanted, (op, types)) in enumerate(zip(found, expected, cases, strict=True)):
        where = f"{op.kind} case {number}"
        if op.infer(types).storage == "f32":
            tolerance = 1e-6 * float(np.abs(wanted).max(initial=1.0))
            np.testing.assert_allclose(one, wanted, rtol=1e-6, atol=tolerance, err_msg=where)
        else:
            np.testing.assert_array_equal(one, wanted, err_msg=where)


@pytest.mark.parametrize("kind", OPS)
def test_c_is_the_reference(kind: str, tmp_path: Path) -> None:
    cases, rng = OPS[kind], np.random.default_rng(7)
    graph = graph_of(cases)
    library = build_shared(*generate(graph), tmp_path, opt="-O1")
    for _ in range(4):
        feeds = feeds_of(cases, rng)
        assert_equal(library.run(feeds), outputs(graph, feeds), cases)


@pytest.mark.parametrize("lane_words", [4, 8])
def test_first_layers_in_wide_vectors(lane_words: int, tmp_path: Path) -> None:
    cases = [(replace(op, lane_words=lane_words), types) for op, types in PairedConv2d.CASES]
    graph = graph_of(cases)
    feeds = feeds_of(cases, np.random.default_rng(10))
    library = build_shared(*generate(graph), tmp_path, opt="-O1")
    assert_equal(library.run(feeds), outputs(graph, feeds), cases)


FAMILIES = [("sliced_channels", 4), ("sliced_channels", 8), ("popcount_rows", 1)]


@pytest.mark.parametrize(("family", "lane_words"), FAMILIES)
def test_the_best_channel_in_other_families(family: str, lane_words: int, tmp_path: Path) -> None:
    kernel = {"family": family, "lane_words": lane_words}
    cases = [(replace(op, conv=replace(op.conv, **kernel)), types) for op, types in BestChannel.CASES]
    graph = graph_of(cases)
    feeds = feeds_of(cases, np.random.default_rng(11))
    library = build_shared(*generate(graph), tmp_path, opt="-O1")
    assert_equal(library.run(feeds), outputs(graph, feeds), cases)


WITH_LAYERS = ["best_channel", "binary_conv2d", "mapped_conv2d", "pooled_conv2d", "ranked_conv2d"]


@pytest.mark.parametrize("kind", WITH_LAYERS)
def test_weights_in_diagonals(kind: str, tmp_path: Path) -> None:
    """The layout for machines that turn operands, on this machine."""
    cases = OPS[kind]
    graph = lay_diagonals(graph_of(cases), load_target("cortex-m4"))
    assert has_diagonals(graph)
    files, facts = generate(graph)
    assert "#define BNN2C_DIAGONALS 1" in files["cases.c"]
    feeds = feeds_of(cases, np.random.default_rng(12))
    assert_equal(build_shared(files, facts, tmp_path, opt="-O1").run(feeds), outputs(graph, feeds), cases)


@pytest.mark.parametrize("number", range(len(OPS["mapped_conv2d"])))
def test_the_scratch_of_diagonals_is_enough(number: int, tmp_path: Path) -> None:
    """Each case alone: behind the scratch of one with a larger input there is nothing but the guard."""
    case = OPS["mapped_conv2d"][number]
    graph = lay_diagonals(graph_of([case]), load_target("cortex-m4"))
    feeds = feeds_of([case], np.random.default_rng(13))
    assert_equal(build_shared(*generate(graph), tmp_path, opt="-O1").run(feeds), outputs(graph, feeds), [case])


@pytest.mark.parametrize("kind", OPS)
def test_costs_and_text_are_told(kind: str) -> None:
    for op, types in OPS[kind]:
        cost = op.cost(types)
        assert min(cost.binary_macs, cost.real_macs, cost.weight_bytes) >= 0
        assert op.stack_bytes(types) > 0 and op.scratch_bytes(types) >= 0
        assert op.kernel(types) and "\n" not in op.kernel(types)
        op.describe()


@pytest.mark.parametrize("kind", OPS)
def test_reference_has_the_stated_type(kind: str) -> None:
    rng = np.random.default_rng(8)
    for op, types in OPS[kind]:
        inputs = [random_tensor(t, rng).astype(NUMPY_TYPES[t.storage]) for t in types]
        made, stated = op.reference(*inputs), op.infer(types)
        assert made.shape == stated.shape
        if stated.storage == "bits":
            assert made.max(initial=0) < 1 << stated.planes


def decides(op: Op, types: Sequence[TensorType]) -> bool:
    """Whether a layer may branch on data: on real numbers, in an expression, or on whether an id is in its table."""
    real = any(kind.storage == "f32" for kind in (*types, op.infer(types)))
    return real or op.kind in ("map", "embedding") or getattr(op, "map", None) is not None


@pytest.mark.cross
@pytest.mark.parametrize(
    ("target", "opt"),
    [(name, None) for name in ("cortex-m0", "cortex-m4", "cortex-m55", "aarch64", "rv32imc", "powerpc")]
    + [(name, "-O3") for name in ("aarch64", "cortex-a7", "cortex-m55", "cortex-m4")]
    + [(name, "-Os") for name in ("cortex-m0", "cortex-m4")],
)
def test_c_is_the_reference_on_targets(target: str, opt: str | None, tmp_path: Path) -> None:
    """All cases of all operations in one program."""
    try:
        require_tools(load_target(target))
    except ToolchainMissing as error:
        pytest.skip(str(error))
    cases = [case for found in OPS.values() for case in found]
    graph, rng = lay_diagonals(graph_of(cases), load_target(target)), np.random.default_rng(9)
    feeds = [feeds_of(cases, rng) for _ in range(4)]
    feeds += [[np.full_like(x, least(x)) for x in feeds[0]], [np.full_like(x, x.max()) for x in feeds[0]]]
    files, manifest = generate(graph, target)
    run = run_on_target(files, manifest, load_target(target), feeds, tmp_path, opt=opt, timeout=120)
    assert run.guards_intact
    assert opt is not None or run.stack_bytes <= manifest["stack_bytes"]  # inlined, these cases share one frame
    sizes = object_sizes(list((tmp_path / "model").glob("*.o")))
    assert sizes.static_ram_bytes == 0
    assert set(sizes.undefined) <= {"logf"} or target in SOFT_FLOAT
    for found, given in zip(run.outputs, feeds, strict=True):
        assert_equal(found, outputs(graph, given), cases)
    steady = {f"out{number}" for number, case in enumerate(cases) if not decides(*case)}
    layers = zip(manifest["layers"], run.constant_layers, strict=True)
    varying = [layer for layer, constant in layers if not constant]
    assert [layer["name"] for layer in varying if layer["name"] in steady] == []
    assert target in SOFT_FLOAT or [layer["name"] for layer in varying if layer["op"] in CONSTANT_TIME] == []
