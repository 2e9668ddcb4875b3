"""The contract of generated C on small networks, quickly: each test fails when the compiler or a kernel breaks it.

The slow tests (test_generated_code.py, test_promises.py) check the same on more networks, compilers and targets.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import promises
import pytest
import test_ops
from models import Array, Net, cnn, compiled, ort_session, random_layer

from bnn2c.data import data_folder
from bnn2c.expr import Arg, apply
from bnn2c.ir import Graph, Port, TensorType
from bnn2c.ir.builder import Builder
from bnn2c.ir.graph import outputs
from bnn2c.memory import Plan, plan_memory
from bnn2c.ops.map import Map
from bnn2c.pipeline import Compiled
from bnn2c.targets import load_target
from bnn2c.toolchain import HostLibrary, ToolchainMissing, build_shared, require_tools, run_on_target

PIXELS = {"input_scale": 1 / 255}


def ties() -> onnx.ModelProto:
    """Dense layers of several widths whose sums often meet their thresholds exactly, gamma of both signs."""
    rng, n = np.random.default_rng(3), Net()
    x = n.add("Sign", n.add("Sub", n.input([1, 40]), 0.5))
    for fan_in, fan_out in ((40, 35), (35, 33)):
        signs = random_layer(rng, fan_out, fan_in).signs.T.astype(np.float32)
        gamma, beta = rng.choice([-1.0, 1.0], fan_out), rng.choice([-3.0, -1.0, 1.0, 3.0], fan_out)
        x = n.chain(n.add("MatMul", x, signs), ("Mul", gamma.astype(np.float32)), ("Sub", beta.astype(np.float32)))
        x = n.add("Where", n.add("GreaterOrEqual", x, 0.0), 1.0, -1.0)
    return n.model(n.add("MatMul", x, random_layer(rng, 4, 33).signs.T.astype(np.float32)))


MODELS = {"ties": ties, "cnn": lambda: cnn(decide=True)}


@cache
def generated(name: str, optimize: str = "balanced", target: str = "portable") -> Compiled:
    return compiled(MODELS[name](), name="kws", optimize=optimize, target=target, **PIXELS)


@pytest.fixture(params=MODELS)
def found(request: pytest.FixtureRequest) -> Compiled:
    return generated(request.param)


# --- text -------------------------------------------------------------------------------------------------------------

NO_HEAP = re.compile(r"\b(?:__builtin_)?(malloc|calloc|realloc|free|alloca|aligned_alloc|new)\s*\(")
# A variable of static storage: `static`, not followed by `const` or by a function or an attribute of one.
STATIC = re.compile(
    r"\bstatic\s+(?!const\b|inline\b|__attribute__)([^;={(]*[;=\[]|(volatile\s+)?(struct|union)\b[^;{(]*\{)"
)


def code_of(text: str) -> str:
    """C without comments, continuation lines joined."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text.replace("\\\n", "\n"), flags=re.S)


def test_the_runtime_has_no_variables_and_no_heap() -> None:
    headers = sorted(data_folder("runtime_c").glob("*.h"))
    assert len(headers) > 40
    for header in headers:
        text = header.read_text("utf-8")
        code = code_of(text)
        assert not STATIC.search(code) and not NO_HEAP.search(code) and not promises.TIME.search(text), header.name


def test_the_templates_have_no_variables_no_heap_and_no_time_stamp() -> None:
    for template in sorted(data_folder("templates").rglob("*.j2")):
        text = template.read_text("utf-8")
        assert not promises.TIME.search(text), template.name
        if template.name != "report.html.j2":
            code = code_of(text)
            assert not STATIC.search(code) and not NO_HEAP.search(code), template.name


def test_no_time_stamp(found: Compiled) -> None:
    assert promises.no_time_stamp(found.files) == []
    again = compiled(MODELS["ties"](), name="kws", **PIXELS)
    assert again.files == generated("ties").files


# --- objects ----------------------------------------------------------------------------------------------------------


def test_symbols(found: Compiled, tmp_path: Path) -> None:
    assert promises.no_static_data(found.files, tmp_path / "a") == []
    assert promises.no_library_calls(found.files, tmp_path / "a") == []
    assert promises.prefixed_symbols(found.files, "kws", tmp_path / "a") == []


def test_errors_write_nothing(tmp_path: Path) -> None:
    compiled_model = generated("ties")
    run = ctypes.CDLL(str(build_shared(compiled_model.files, compiled_model.manifest, tmp_path).path)).kws_run
    run.argtypes = [ctypes.c_void_p] * 3
    memory = (ctypes.c_uint8 * 8192)(*[0xA5] * 8192)
    base = (ctypes.addressof(memory) + 63) // 64 * 64
    given, out, arena = base, base + 2048, base + 4096
    assert [run(None, out, arena), run(given, None, arena), run(given, out, None)] == [1, 1, 1]
    assert {run(given, out, arena + shift) for shift in range(1, 4)} == {2}
    assert set(memory) == {0xA5}


# --- memory -----------------------------------------------------------------------------------------------------------


def last_byte(graph: Graph, plan: Plan) -> int:
    """End of the last value or scratch memory in the arena."""
    ends = [start + graph.types[v].nbytes for v, (where, _, start) in plan.places.items() if where == "arena"]
    used = [at + graph.nodes[k].op.scratch_bytes(graph.input_types(graph.nodes[k])) for k, at in plan.scratch.items()]
    return max(ends + used)


@pytest.mark.parametrize(("name", "optimize"), [("ties", "speed"), ("cnn", "size")])
def test_the_arena_holds_everything_and_no_more(name: str, optimize: str, tmp_path: Path) -> None:
    graph = generated(name, optimize).final
    stated, used = generated(name, optimize).manifest["arena_bytes"], last_byte(graph, plan_memory(graph))
    assert used <= stated < used + 8
    assert f"KWS_ARENA_BYTES {stated}u" in generated(name, optimize).files["kws.h"]
    assert promises.within_arena(generated(name, optimize).files, generated(name, optimize).manifest, tmp_path) == []


def test_operations_stay_within_their_constants_and_operands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All cases in one program; AddressSanitizer guards every constant, every operand and the arena."""
    promises.keep_apart(monkeypatch)
    graph = test_ops.graph_of([case for found in test_ops.OPS.values() for case in found])
    files, manifest = test_ops.generate(graph)
    assert promises.within_operands(files, manifest, graph, plan_memory(graph), tmp_path) == []


def test_an_operand_that_is_not_read_again_is_overwritten() -> None:
    """exp(x), its tanh, and behind it that alone or the sum of both: one buffer, or two."""
    for both in (False, True):
        builder, kind = Builder("net"), TensorType((4, 4, 8))
        builder.add_input(Port("x", "x", kind.shape, "float32"), kind)
        first = builder.emit(Map(apply("exp", Arg(0)), kind.shape), ["x"], "first")
        second = builder.emit(Map(apply("tanh", Arg(0)), kind.shape), [first], "second")
        last = Map(apply("add", Arg(0), Arg(1) if both else Arg(0)), kind.shape)
        made = builder.emit(last, [second, first] if both else [second], "last")
        builder.outputs.append(Port("y", made, kind.shape, "float32"))
        assert plan_memory(builder.build()).size == (2 if both else 1) * kind.nbytes


# --- function and time ------------------------------------------------------------------------------------------------


@pytest.mark.cross
@pytest.mark.parametrize("optimize", ["size", "speed"])
@pytest.mark.parametrize("name", MODELS)
def test_same_function_same_time_within_the_stack(name: str, optimize: str, tmp_path: Path) -> None:
    """Under QEMU: the imported network's function, one instruction count for all inputs, no more stack than stated."""
    target = load_target("cortex-m4")
    try:
        require_tools(target)
    except ToolchainMissing as error:
        pytest.skip(str(error))
    model = generated(name, optimize, "cortex-m4")
    rng, shape = np.random.default_rng(1), model.manifest["inputs"][0]["shape"]
    samples = [[np.full(shape, pixel, np.uint8)] for pixel in (0, 255)]
    samples += [[rng.integers(0, 256, shape).astype(np.uint8)] for _ in range(10)]
    run = run_on_target(model.files, model.manifest, target, samples, tmp_path, timeout=120)
    for sample, found in zip(samples, run.outputs, strict=True):
        for one, wanted in zip(found, outputs(model.imported, sample), strict=True):
            np.testing.assert_array_equal(one.ravel(), np.asarray(wanted).ravel().astype(one.dtype))
    assert run.guards_intact and run.constant_time
    assert run.stack_bytes <= model.manifest["stack_bytes"]


def test_real_numbers_on_their_threshold(tmp_path: Path) -> None:
    """Every comparison of a real input meets its threshold exactly in some sample, next to it in others; NaN is low."""
    n, thresholds = Net(), (np.arange(40) % 7 - 3).astype(np.float32) / 2
    x = n.input([1, 40])
    above = n.add("Where", n.add("GreaterOrEqual", x, thresholds), 1.0, -1.0)
    beyond = n.add("Where", n.add("Greater", x, thresholds), 1.0, -1.0)
    signs = random_layer(np.random.default_rng(4), 80, 80).signs.T.astype(np.float32)
    model = n.model(n.add("MatMul", n.add("Concat", above, beyond, axis=1), signs))
    found, run = compiled(model), ort_session(model)
    library = build_shared(found.files, found.manifest, tmp_path, opt="-O1")
    for step in (-1, 0, 1):
        sample = np.nextafter(thresholds, np.float32(step) * np.float32(np.inf)) if step else thresholds
        np.testing.assert_array_equal(library.run([sample[None]])[0], run([sample[None]])[0])
    assert_nan_is_lowest(library, run, 40)


def assert_nan_is_lowest(library: HostLibrary, run: Callable[[Sequence[Array]], list[Array]], size: int) -> None:
    """NaN takes the side of -infinity."""
    lowest = run([np.full((1, size), -np.inf, np.float32)])[0]
    np.testing.assert_array_equal(library.run([np.full((1, size), np.nan, np.float32)])[0], lowest)


def test_levels_of_nan(tmp_path: Path) -> None:
    n = Net()
    levels = n.add("Round", n.clip(n.input([1, 40]), -1.0, 1.0))
    model = n.model(n.add("MatMul", levels, random_layer(np.random.default_rng(5), 9, 40).signs.T.astype(np.float32)))
    found = compiled(model)
    assert_nan_is_lowest(build_shared(found.files, found.manifest, tmp_path, opt="-O1"), ort_session(model), 40)
