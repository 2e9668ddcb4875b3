"""`--state`: a step function whose outputs are inputs of the next step, in memory of the caller."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import sequence_models
from models import ort_session
from sequence_models import Onnx
from strict import UNDEFINED

from bnn2c.errors import CompileError
from bnn2c.options import Options
from bnn2c.pipeline import Compiled, compile_model
from bnn2c.targets import load_target
from bnn2c.toolchain import build_shared, run_on_target

Array = np.ndarray


def part(g: Onnx, x: str, first: int, end: int) -> str:
    """Elements of a row."""
    return g("Slice", x, *(g.constant(np.array([n])) for n in (first, end, 1)))


def swapped(seed: int) -> onnx.ModelProto:
    """States that become each other, that are read after their next value is known, and that are replaced in place."""
    g = Onnx(seed)
    g("Add", "b", "x", name="next_a")
    g("Identity", "a", name="next_b")
    g("Mul", g("Add", "c", "x"), g.constant(0.5), name="next_c")
    g("Concat", part(g, "d", 1, 12), part(g, "x", 0, 1), axis=1, name="next_d")
    sums = g("MatMul", g.sign_of("e"), g.constant(g.signs(12, 12)))
    g("Max", g("Add", sums, "x"), "c", name="next_e")
    g("MatMul", g("Add", "f", g.constant(g.normal(12))), g.constant(g.normal(12, 12) / 4), name="next_f")
    g("Concat", part(g, "x", 0, 6), part(g, "g", 0, 6), axis=1, name="next_g")
    read = g("Concat", "a", "next_e", "d", "next_f", "next_g", axis=1)
    both = g("MatMul", read, g.constant(g.normal(60, 5)))
    g("Add", both, g.constant(g.normal(5)), name="y")
    states = {name: [1, 12] for name in "abcdefg"}
    return g.model({"x": [1, 12], **states}, {"y": [1, 5], **{f"next_{n}": s for n, s in states.items()}})


SWAPPED = tuple((name, f"next_{name}") for name in "abcdefg")


def expected(
    model: onnx.ModelProto, pairs: Sequence[tuple[str, str]], frames: Sequence[dict[str, Array]]
) -> list[list[Array]]:
    """The outputs that are no state, of onnxruntime step by step; states begin with zeros."""
    kinds = {1: np.float32, 7: np.int64}
    ports = {i.name: i.type.tensor_type for i in model.graph.input}
    names = [o.name for o in model.graph.output]
    state = {}
    for source, _ in pairs:
        shape = [d.dim_value for d in ports[source].shape.dim]
        state[source] = np.zeros(shape, kinds[ports[source].elem_type])
    run, found = ort_session(model), []
    for frame in frames:
        given = {**frame, **state}
        outputs = dict(zip(names, run([given[name] for name in ports]), strict=True))
        state = {source: outputs[target] for source, target in pairs}
        found.append([outputs[name] for name in names if name not in dict(pairs).values()])
    return found


def steps(compiled: Compiled, frames: Sequence[Sequence[Array]], folder: Path) -> list[Array]:
    """The first output of each step of the C on this machine; the state's memory holds anything before the reset."""
    library = ctypes.CDLL(str(build_shared(compiled.files, compiled.manifest, folder, cflags=UNDEFINED).path))
    state = (ctypes.c_uint64 * (compiled.manifest["arena_bytes"] // 8 + 1))(*[0x7FC0FFEE7FC0FFEE] * 2)
    (port,) = compiled.manifest["state"]["outputs"]
    kind = next(row["dtype"] for row in compiled.manifest["outputs"] if row["c_name"] == port["name"])
    out, found = np.zeros(port["shape"], kind), []
    assert library.net_reset(state) == 0
    for frame in frames:
        given = np.frombuffer(b"".join(part.tobytes() for part in frame), np.uint8)
        pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (given, out)]
        assert library.net_step(pointers[0], state, pointers[1]) == 0
        found.append(out.copy())
    assert (library.net_reset(None), library.net_step(None, state, pointers[1])) == (1, 1)
    assert library.net_reset(ctypes.byref(state, 4)) == 2
    return found


@pytest.mark.parametrize("optimize", ["size", "speed"])
def test_states_of_all_kinds(optimize: str, tmp_path: Path) -> None:
    model = swapped(3)
    frames = [{"x": x[None]} for x in np.random.default_rng(5).normal(size=(20, 12)).astype(np.float32)]
    compiled = compile_model(model, Options(name="net", states=SWAPPED, optimize=optimize))
    found = steps(compiled, [[frame["x"]] for frame in frames], tmp_path)
    wanted = [outputs[0] for outputs in expected(model, SWAPPED, frames)]
    np.testing.assert_allclose(np.array(found), np.array(wanted), rtol=0, atol=1e-5)


def test_the_function_with_states_as_arrays_is_still_there(tmp_path: Path) -> None:
    model = swapped(4)
    compiled = compile_model(model, Options(name="net", states=SWAPPED))
    library = build_shared(compiled.files, compiled.manifest, tmp_path)
    given = list(np.random.default_rng(6).normal(size=(8, 1, 12)).astype(np.float32))
    for mine, theirs in zip(library.run(given), ort_session(model)(given), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5)


def test_a_decode_loop_keeps_its_caches(tmp_path: Path) -> None:
    """What the decoder wrote into its caches of keys and values is what it reads next."""
    model = sequence_models.Decoder().step()
    pairs = (("keys", "next_keys"), ("values", "next_values"))
    compiled = compile_model(model, Options(name="net", states=pairs))
    rng = np.random.default_rng(4)
    memory, tokens = rng.normal(size=(5, 32)).astype(np.float32), rng.integers(0, 40, 7)
    frames = [{"token": np.array([t]), "place": np.array([k]), "memory": memory} for k, t in enumerate(tokens)]
    given = [[np.array([t, k], np.int32), memory] for k, t in enumerate(tokens)]
    wanted = [outputs[0].tolist() for outputs in expected(model, pairs, frames)]
    assert [word.tolist() for word in steps(compiled, given, tmp_path)] == wanted
    assert len({word[0] for word in wanted}) > 2


def test_a_cache_is_changed_in_place() -> None:
    """No second copy of the caches: their next values lie where the last ones lay."""
    model = sequence_models.Decoder().step()
    alone = compile_model(model, Options(name="net")).manifest
    compiled = compile_model(model, Options(name="net", states=(("keys", "next_keys"), ("values", "next_values"))))
    kept = compiled.manifest
    assert 'the next "keys"' not in compiled.files["net.c"]
    assert 'the next "d"' in compile_model(swapped(3), Options(name="net", states=SWAPPED)).files["net.c"]
    assert kept["arena_bytes"] <= alone["arena_bytes"] + 2 * 7 * 32 * 4
    assert [row["name"] for row in kept["state"]["inputs"]] == ["token", "place", "memory"]
    assert kept["state"]["pairs"][0] == {"input": "keys", "output": "next_keys"}


@pytest.mark.cross
@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m0", "aarch64"])
def test_steps_on_targets(target: str, tmp_path: Path) -> None:
    model = swapped(7)
    frames = [{"x": x[None]} for x in np.random.default_rng(8).normal(size=(6, 12)).astype(np.float32)]
    compiled = compile_model(model, Options(name="net", target=target, states=SWAPPED))
    samples = [[frame["x"]] for frame in frames] * 2
    run = run_on_target(
        compiled.files, compiled.manifest, load_target(target), samples, tmp_path, stream_steps=len(frames)
    )
    wanted = [outputs[0] for outputs in expected(model, SWAPPED, frames)] * 2
    np.testing.assert_allclose([outputs[0] for outputs in run.outputs], wanted, rtol=0, atol=1e-5)
    assert run.guards_intact
    assert run.stack_bytes <= compiled.manifest["stack_bytes"]


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ((("h", "next_a"),), "no such input; there are x, a, b, c, d, e, f, g"),
        ((("a", "nothing"),), "no such output"),
        ((("a", "y"),), r"a is float32 \[1, 12\] and y is float32 \[1, 5\]"),
        ((("a", "next_a"), ("a", "next_b")), "part of another state"),
        ((*SWAPPED, ("x", "y")), "both have to be alike"),
    ],
)
def test_refusals_name_the_reason(pairs: tuple[tuple[str, str], ...], words: str) -> None:
    with pytest.raises(CompileError, match=words) as caught:
        compile_model(swapped(1), Options(name="net", states=pairs))
    assert caught.value.diagnostics[0].code == "BNN033"


def test_a_network_of_states_only_is_refused() -> None:
    g = Onnx(1)
    g("Neg", "a", name="next_a")
    with pytest.raises(CompileError, match="no input or no output"):
        compile_model(g.model({"a": [1, 3]}, {"next_a": [1, 3]}), Options(name="net", states=(("a", "next_a"),)))
    with pytest.raises(CompileError, match="exclude each other") as caught:
        Options(name="net", stream=1, states=(("a", "b"),))
    assert "one step of what has the state" in caught.value.diagnostics[0].hint
