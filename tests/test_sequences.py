"""Recurrent networks become loops, products of packed activations integer products: the same numbers, less code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import sequence_models
from models import cnn
from strict import UNDEFINED

import bnn2c
from bnn2c.errors import CompileError
from bnn2c.ir.graph import outputs
from bnn2c.options import Options, Real
from bnn2c.passes.roll_loops import roll_loops
from bnn2c.passes.unroll_loops import unroll_loops
from bnn2c.pipeline import Compiled, compile_model
from bnn2c.targets import load_target
from bnn2c.toolchain import build_shared, run_on_target

OPERATORS = [(op, way) for op in ("RNN", "GRU", "LSTM") for way in ("forward", "reverse", "bidirectional")]


def kinds(compiled: Compiled) -> list[str]:
    return [layer["op"] for layer in compiled.manifest["layers"]]


def check(model: onnx.ModelProto, folder: Path, samples: int = 5) -> Compiled:
    """C = final graph = final graph without loops = onnxruntime, on random inputs."""
    compiled = compile_model(model, Options(name="net"))
    library = build_shared(compiled.files, compiled.manifest, folder, cflags=UNDEFINED)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    rng = np.random.default_rng(3)
    for _ in range(samples):
        feeds = [rng.normal(size=p["shape"]).astype(np.float32) for p in compiled.manifest["inputs"]]
        names = [p["name"] for p in compiled.manifest["inputs"]]
        expected = session.run(None, dict(zip(names, feeds, strict=True)))
        unrolled = outputs(unroll_loops(compiled.final), feeds)
        for want, flat, found, got in zip(
            expected, unrolled, compiled.reference(feeds), library.run(feeds), strict=True
        ):
            assert np.array_equal(flat, found)
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * max(1.0, np.abs(want).max()))
    return compiled


@pytest.mark.parametrize("steps", [3, 16])
def test_written_out_steps_become_one_loop(steps: int, tmp_path: Path) -> None:
    compiled = check(sequence_models.unrolled_gru(steps), tmp_path)
    assert kinds(compiled).count("loop") == 1
    assert "binary_conv2d" not in kinds(compiled)
    (loop,) = [layer for layer in compiled.manifest["layers"] if layer["op"] == "loop"]
    assert loop["binary_macs"] == steps * 3 * 32 * (20 + 32)


def test_code_does_not_grow_with_the_number_of_steps() -> None:
    models = [sequence_models.unrolled_gru(steps) for steps in (1, 6, 24)]
    sizes = [len(compile_model(model, Options(name="net")).files["net.c"]) for model in models]
    assert sizes[1] <= 1.3 * sizes[0]
    assert abs(sizes[2] - sizes[1]) < 20


@pytest.mark.parametrize(("op", "gates"), [("GRU", 3), ("LSTM", 4)])
def test_two_valued_weights_take_a_bit_each(op: str, gates: int) -> None:
    """Twice the inputs cost their bits; what remains is a scale per row and product, and the biases."""
    hidden = 32
    models = [sequence_models.recurrent_operator(op, 5, "forward", features=n, hidden=hidden) for n in (32, 64)]
    small, large = (compile_model(model, Options(name="net")).manifest["weights_bytes"] for model in models)
    assert large - small == gates * hidden * 32 // 8
    assert small <= gates * hidden * (32 + hidden) // 8 + 4 * gates * hidden * (2 + 2)


def binarised_rows(shift: float) -> onnx.ModelProto:
    """The signs of rows of a real table plus a number; another reader of the rows makes the signs a second table."""
    g = sequence_models.Onnx(21)
    rows = g("Gather", g.constant(g.normal(50, 32)), "x")
    signs = g("MatMul", g.sign_of(g("Add", rows, g.constant(g.normal(32)))), g.constant(g.signs(32, 8)))
    g(
        "Add",
        signs,
        g("MatMul", g("Mul", rows, g.constant(shift)), g.constant(g.signs(32, 8))) if shift else signs,
        name="y",
    )
    model = g.model({"x": [1, 9]}, {"y": [1, 9, 8]})
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT32
    return model


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_a_real_embedding_that_is_binarised_is_packed(shift: float, tmp_path: Path) -> None:
    model = binarised_rows(shift)
    compiled = compile_model(model, Options(name="net"))
    assert "quantize" not in kinds(compiled)
    assert compiled.manifest["weights_bytes"] < 50 * 4 + 600 + (50 * 32 * 4 if shift else 0)
    ids = np.random.default_rng(0).integers(0, 50, (1, 9)).astype(np.int32)
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": ids})[0]
    found = build_shared(compiled.files, compiled.manifest, tmp_path).run([ids])[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_table_of_signs_stays_packed_when_its_rows_are_scaled(tmp_path: Path) -> None:
    """`rows * scale + bias` has as many values as elements: a table of them would take 32 bits for each sign."""
    g = sequence_models.Onnx(22)
    rows = g("Mul", g("Gather", g.constant(g.signs(50, 32)), "x"), g.constant(g.normal(32)))
    g("Tanh", g("Add", rows, g.constant(g.normal(32))), name="y")
    model = g.model({"x": [1, 9]}, {"y": [1, 9, 32]})
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT32
    compiled = compile_model(model, Options(name="net"))
    assert compiled.manifest["weights_bytes"] < 50 * 4 + 32 * 4 * 3
    ids = np.random.default_rng(0).integers(0, 50, (1, 9)).astype(np.int32)
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": ids})[0]
    found = build_shared(compiled.files, compiled.manifest, tmp_path).run([ids])[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_kept_states_are_one_tensor_without_copies(tmp_path: Path) -> None:
    compiled = check(sequence_models.unrolled_gru(8, every_step=True), tmp_path)
    assert kinds(compiled)[0] == "loop"
    assert not {"concat", "rearrange"} & set(kinds(compiled))


@pytest.mark.parametrize(("op", "way"), OPERATORS)
def test_recurrent_operators_become_loops(op: str, way: str, tmp_path: Path) -> None:
    compiled = check(sequence_models.recurrent_operator(op, 7, way), tmp_path, 2)
    assert kinds(compiled).count("loop") == (2 if way == "bidirectional" else 1)
    assert {"sign_conv2d", "conv2d"}.isdisjoint(kinds(compiled)), "every step is in the loop"
    assert "sign_conv2d" in compiled.files["net.c"]


def test_sums_of_reals_in_a_loop_are_reported(tmp_path: Path) -> None:
    onnx.save(sequence_models.recurrent_operator("GRU", 7, "forward"), tmp_path / "gru.onnx")
    compiled = bnn2c.compile(tmp_path / "gru.onnx")
    (loop,) = [layer["name"] for layer in compiled.manifest["layers"] if layer["op"] == "loop"]
    assert loop in compiled.report.data["exactness"]["real_layers"]


@pytest.mark.parametrize(("op", "sigmoids", "tangents"), [("GRU", 2, 1), ("LSTM", 3, 2)])
def test_a_gate_with_two_readers_is_computed_once(op: str, sigmoids: int, tangents: int) -> None:
    code = compile_model(sequence_models.recurrent_operator(op, 7, "forward"), Options(name="net")).files["net.c"]
    assert (code.count("sigmoidf("), code.count("tanhf(")) == (sigmoids, tangents)


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
def test_a_batch_of_sequences(op: str, tmp_path: Path) -> None:
    """Sentences of a text, or sensors with the same network, that a Reshape made a batch; shorter than the input."""
    model = sequence_models.recurrent_operator(op, 5, "bidirectional", lengths=(4, 4, 4))
    assert "loop" in kinds(check(model, tmp_path, 2))


MIXED = (5, 0, 3, 7, 3)


@pytest.mark.parametrize(("op", "way"), OPERATORS)
def test_sequences_of_different_lengths(op: str, way: str, tmp_path: Path) -> None:
    """Rows of one length share a loop; behind a row's end are zeros, and the way back begins at its own end."""
    compiled = check(sequence_models.recurrent_with_states(op, way, MIXED), tmp_path, 2)
    assert kinds(compiled).count("loop") == 3 * (1 + (way == "bidirectional"))


def test_different_lengths_share_the_weights_and_run_only_their_steps() -> None:
    models = [
        sequence_models.recurrent_operator("GRU", 7, "forward", lengths=lengths, features=32, hidden=64)
        for lengths in ((7, 7, 7, 7, 7), (7, 3, 4, 5, 3))
    ]
    same, mixed = (compile_model(model, Options(name="net")).manifest for model in models)
    assert mixed["weights_bytes"] - same["weights_bytes"] < 200 < 192 * (32 + 64) // 8
    products = [sum(layer["binary_macs"] for layer in found["layers"]) for found in (same, mixed)]
    assert products == [steps * 192 * (32 + 64) for steps in (35, 22)]
    assert [layer["kernel"] for layer in mixed["layers"] if layer["op"] == "loop"] == [
        f"loop of {steps} steps" for steps in (3, 4, 5, 7)
    ]


@pytest.mark.parametrize("lengths", [(8, 7), (-1, 7)])
def test_lengths_outside_of_the_input_are_refused(lengths: tuple[int, ...]) -> None:
    with pytest.raises(CompileError, match=f"a sequence of {lengths[0]} in an input of 7 steps"):
        compile_model(sequence_models.recurrent_with_states("GRU", "forward", lengths), Options(name="net"))


@pytest.mark.cross
def test_sequences_of_different_lengths_on_a_device(tmp_path: Path) -> None:
    model = sequence_models.recurrent_with_states("LSTM", "bidirectional", MIXED)
    compiled = compile_model(model, Options(name="net", target="cortex-m4"))
    ports = compiled.manifest["inputs"]
    feeds = [np.random.default_rng(6).normal(size=p["shape"]).astype(np.float32) for p in ports]
    run = run_on_target(compiled.files, compiled.manifest, load_target("cortex-m4"), [feeds], tmp_path)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    expected = session.run(None, {p["name"]: feed for p, feed in zip(ports, feeds, strict=True)})
    for want, got in zip(expected, run.outputs[0], strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)
    assert run.guards_intact


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize(("way", "length"), [("bidirectional", 7), ("bidirectional", 4), ("reverse", 5)])
def test_initial_states_and_shorter_sequences(op: str, way: str, length: int, tmp_path: Path) -> None:
    check(sequence_models.recurrent_with_states(op, way, (length,)), tmp_path, 2)


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("RNN", {"clip": 0.5}),
        ("GRU", {"clip": 0.5}),
        ("GRU", {"clip": 0.5, "linear_before_reset": 1}),
        ("LSTM", {"clip": 0.5}),
        ("LSTM", {"input_forget": 1}),
        ("LSTM", {"peepholes": True}),
        ("LSTM", {"peepholes": True, "input_forget": 1}),
        ("LSTM", {"peepholes": True, "clip": 0.5}),
    ],
)
def test_what_enters_a_gate(op: str, attributes: dict[str, Any], tmp_path: Path) -> None:
    """Peepholes look at the states of the cell, and `clip` bounds all that enters an activation."""
    check(sequence_models.recurrent_with_states(op, "bidirectional", **attributes), tmp_path, 2)


@pytest.mark.parametrize("name", ["Elu", "Softplus", "ThresholdedRelu", "Softsign", "HardSigmoid"])
def test_activations_of_a_recurrent_operator(name: str, tmp_path: Path) -> None:
    check(sequence_models.recurrent_with_states("RNN", "forward", activations=name), tmp_path, 2)


def test_activations_take_the_given_numbers_in_order(tmp_path: Path) -> None:
    """Tanh takes none, so the first alpha and beta are HardSigmoid's."""
    g = sequence_models.Onnx(12)
    weights = [g.constant(g.signs(1, 30, n)) for n in (6, 10)]
    numbers = {"activation_alpha": [0.4], "activation_beta": [0.3]}
    g("GRU", "x", *weights, name="y", hidden_size=10, activations=["Tanh", "HardSigmoid"], **numbers)
    check(g.model({"x": [5, 1, 6]}, {"y": [5, 1, 1, 10]}), tmp_path, 2)


@pytest.mark.parametrize(
    "form",
    [{}, {"packed": True}, {"past": True}, {"mask": True}, {"is_causal": 1}, {"softcap": 2.0, "scale": 0.3}],
    ids=str,
)
def test_the_attention_operator(form: dict[str, object], tmp_path: Path) -> None:
    compiled = check(sequence_models.attention_operator(**form), tmp_path, 3)
    assert "binary_mat_mul" in kinds(compiled) or "past" in form


@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotary_embeddings(interleaved: int, tmp_path: Path) -> None:
    g = sequence_models.Onnx(10)
    tables = [g.constant(g.normal(1, 6, 4)) for _ in "cs"]
    g("RotaryEmbedding", "x", *tables, name="y", interleaved=interleaved)
    check(g.model({"x": [1, 2, 6, 8]}, {"y": [1, 2, 6, 8]}, opset=23), tmp_path, 3)


def test_only_the_last_state_is_kept_when_only_it_is_read(tmp_path: Path) -> None:
    compiled = check(sequence_models.recurrent_operator("GRU", 50, "forward", every_step=False), tmp_path, 2)
    assert compiled.manifest["arena_bytes"] < 1000


def test_a_state_that_is_made_in_place_lives_in_the_result(tmp_path: Path) -> None:
    """Only the last state is kept: no buffer for it, and no copy from step to step."""
    compiled = check(sequence_models.unrolled_gru(9), tmp_path, 2)
    (loop,) = [node.op for node in compiled.final.nodes if node.op.kind == "loop"]
    assert list(loop.homes.values()) == [0]
    assert not loop.layout[0]
    assert compiled.files["net.c"].count("bnn2c_copy_f32(") == 1, "the initial state"


def test_a_state_that_is_read_after_the_next_one_is_made_keeps_its_buffer(tmp_path: Path) -> None:
    """h' = tanh(h M + x), read in columns: not element by element."""
    compiled = check(sequence_models.recurrent_operator("RNN", 9, "forward", every_step=False), tmp_path, 2)
    (loop,) = [node.op for node in compiled.final.nodes if node.op.kind == "loop"]
    assert not loop.homes
    assert len(loop.layout[0]) == 1


def test_equal_operations_of_a_map_are_computed_once(tmp_path: Path) -> None:
    g = sequence_models.Onnx(7)
    gates = [g("Sigmoid", g("Add", "x", g.constant(np.full((1, 5), 0.5, np.float32)))) for _ in range(2)]
    g("Add", g("Mul", gates[0], "x"), g("Sub", gates[1], "x"), name="y")
    compiled = check(g.model({"x": [1, 5]}, {"y": [1, 5]}), tmp_path)
    assert kinds(compiled) == ["map"]
    assert compiled.files["net.c"].count("bnn2c_sigmoidf(") == 1


def test_what_all_channels_share_is_computed_once_per_pixel(tmp_path: Path) -> None:
    """The square root of a layer normalisation, as an exporter writes it out."""
    g = sequence_models.Onnx(7)
    centred = g("Sub", "x", g("ReduceMean", "x", axes=[-1]))
    variance = g("ReduceMean", g("Mul", centred, centred), axes=[-1])
    g("Div", centred, g("Sqrt", g("Add", variance, g.constant(np.float32(1e-5)))), name="y")
    compiled = check(g.model({"x": [1, 6, 8]}, {"y": [1, 6, 8]}), tmp_path)
    *_, last = compiled.files["net.c"].partition("sqrtf(")[0].rpartition("static void")
    assert last.count("for (") == 2, "rows and columns, not channels"


def test_reshaped_results_are_made_where_they_lie(tmp_path: Path) -> None:
    """A reshape of a whole value is no copy; a second one, a part, and a reshape of an input are."""
    g = sequence_models.Onnx(7)
    shapes = [g.constant(np.array(shape)) for shape in ([1, 20], [20, 1])]
    value = g("MatMul", "x", g.constant(g.normal(6, 5)))
    for name, source, shape in (("a", value, shapes[0]), ("b", value, shapes[1]), ("d", "z", shapes[0])):
        g("Reshape", source, shape, name=name)
    g("Slice", value, *(g.constant(np.array([n])) for n in (1, 3, 1)), name="c")
    outputs = {"a": [1, 20], "b": [20, 1], "c": [1, 2, 5], "d": [1, 20]}
    compiled = check(g.model({"x": [1, 4, 6], "z": [1, 4, 5]}, outputs), tmp_path, 2)
    assert kinds(compiled) == ["conv2d", "rearrange", "rearrange", "rearrange"]


def test_steps_with_different_weights_stay_apart(tmp_path: Path) -> None:
    model = sequence_models.unrolled_gru(6)
    for number, data in enumerate(n for n in model.graph.node if n.op_type == "MatMul" and n.input[1] == "c0"):
        fresh = onnx.numpy_helper.from_array(
            onnx.numpy_helper.to_array(model.graph.initializer[0]) * (-1) ** (number // 2 % 2), f"w{number}"
        )
        model.graph.initializer.append(fresh)
        data.input[1] = fresh.name
    assert "loop" not in kinds(check(model, tmp_path, 2))


def test_rolling_a_graph_without_repetition_changes_nothing() -> None:
    final = compile_model(cnn(), Options(name="net")).final
    assert roll_loops(final) is final


def test_a_loop_refuses_windows_outside_its_operand() -> None:
    final = compile_model(sequence_models.unrolled_gru(4), Options(name="net")).final
    node = next(n for n in final.nodes if n.op.kind == "loop")
    with pytest.raises(ValueError, match="leaves"):
        replace(node.op, steps=5).infer(final.input_types(node))  # type: ignore[type-var]


def test_packed_attention(tmp_path: Path) -> None:
    compiled = check(sequence_models.attention(), tmp_path)
    assert kinds(compiled).count("binary_mat_mul") == 2
    assert sum(layer["real_macs"] for layer in compiled.manifest["layers"]) == 0


def test_the_mean_of_binary_values_is_an_integer_sum(tmp_path: Path) -> None:
    g = sequence_models.Onnx(7)
    mean = g("ReduceMean", g.sign_of("x"), axes=[1], keepdims=0)
    g("MatMul", mean, g.constant(g.normal(40, 3)), name="y")
    compiled = check(g.model({"x": [1, 9, 40]}, {"y": [1, 3]}), tmp_path)
    assert kinds(compiled)[:2] == ["quantize", "level_sum"]


def test_generated_loop_is_reproducible() -> None:
    first, second = (compile_model(sequence_models.unrolled_gru(9), Options(name="net")).files for _ in range(2))
    assert first == second


@pytest.mark.parametrize("real", ["int16", "int8"])
def test_steps_share_their_number_formats(real: str) -> None:
    for model in (sequence_models.unrolled_gru(7), sequence_models.recurrent_operator("GRU", 7, "forward")):
        compiled = compile_model(model, Options(name="net", target="cortex-m0", real=real))
        (loop,) = [layer for layer in compiled.manifest["layers"] if layer["op"] == "loop"]
        assert loop["kernel"] == "loop of 7 steps"


def test_a_decode_loop_with_the_callers_cache_writes_what_the_whole_decoder_writes(tmp_path: Path) -> None:
    whole, step = sequence_models.Decoder().whole(), sequence_models.Decoder().step()
    compiled = compile_model(step, Options(name="net"))
    assert sum(layer["real_macs"] for layer in compiled.manifest["layers"]) == 0
    library = build_shared(compiled.files, compiled.manifest, tmp_path, cflags=UNDEFINED)
    session = onnxruntime.InferenceSession(whole.SerializeToString())
    rng = np.random.default_rng(4)
    for _ in range(4):
        memory = rng.normal(size=(5, 32)).astype(np.float32)
        tokens, keys, values = [1], np.zeros((7, 32), np.float32), np.zeros((7, 32), np.float32)
        for place in range(7):
            feeds = [np.array([n]) for n in (tokens[-1], place)]
            word, keys, values = library.run([*feeds, keys, values, memory])
            tokens.append(int(word[0]))
        fed = {"token": np.array(tokens[:-1]), "memory": memory}
        assert session.run(None, fed)[0].tolist() == tokens[1:]
        assert len(set(tokens)) > 2


def test_computed_rows_of_a_table_by_gather_nd(tmp_path: Path) -> None:
    g = sequence_models.Onnx(9)
    places = g("Cast", g("Unsqueeze", "x", g.constant(np.array([2]))), to=onnx.TensorProto.INT64)
    g("GatherND", g.constant(g.normal(1, 6, 4)[0]), places, name="y")
    model = g.model({"x": [1, 5]}, {"y": [1, 5, 4]})
    compiled = compile_model(model, Options(name="net"))
    library = build_shared(compiled.files, compiled.manifest, tmp_path)
    ids = np.array([[0, 5, 2, 2, 4]], np.float32)
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": ids})
    assert np.array_equal(library.run([ids])[0], expected[0])


def test_the_largest_sum_over_time_is_found_among_bits(tmp_path: Path) -> None:
    """A threshold after the maximum moves in front of it, as with a pool."""
    g = sequence_models.Onnx(10)
    sums = g("Conv", g.sign_of("x"), g.constant(g.signs(40, 16, 3)), g.constant(g.normal(40)))
    g("MatMul", g.sign_of(g("ReduceMax", sums, axes=[2], keepdims=0)), g.constant(g.signs(40, 5)), name="y")
    compiled = check(g.model({"x": [1, 16, 60]}, {"y": [1, 5]}), tmp_path)
    assert "max_pool" in kinds(compiled)
    assert "reduce" not in kinds(compiled)


HEADS = {
    "plain": "best_channel", "softmax": "best_channel", "opposite": "best_channel", "scale": "ranked_conv2d",
    "bias": "ranked_conv2d", "signs": "ranked_conv2d",
}  # fmt: skip


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("kind", HEADS)
def test_the_best_word_is_found_without_all_scores(kind: str, last: int, tmp_path: Path) -> None:
    """Of equal scores the first (or last) word is taken, as in ONNX, whichever blocks they are in."""
    compiled = check(sequence_models.head(kind, 403, last), tmp_path, 20)
    assert HEADS[kind] in kinds(compiled) and "arg_max" not in kinds(compiled)


@pytest.mark.parametrize(("kind", "real"), [*((kind, "float32") for kind in HEADS), ("bias", "int16")])
def test_memory_does_not_grow_with_the_vocabulary(kind: str, real: Real) -> None:
    few, many = (compile_model(sequence_models.head(kind, n), Options(name="net", real=real)) for n in (400, 1600))
    assert HEADS[kind] in kinds(few) and HEADS[kind] in kinds(many)
    assert many.manifest["arena_bytes"] <= 1.25 * few.manifest["arena_bytes"]
