"""A network that takes one frame at a time computes exactly what it computes over the whole window."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from sequence_models import Onnx, recurrent_operator
from strict import UNDEFINED

from bnn2c.errors import CompileError
from bnn2c.options import Options
from bnn2c.pipeline import Compiled, compile_model
from bnn2c.targets import load_target
from bnn2c.toolchain import ToolchainMissing, build_shared, require_tools, run_on_target
from bnn2c.toolchain.build import OPTIMIZE_FLAGS


def conv_stack(frames: int, head: str = "frames", pad: int = 0) -> onnx.ModelProto:
    """Real, binary and dilated binary convolutions over time, a pool with stride 2, and one of three heads."""
    g = Onnx(4)
    x = g("Conv", "x", g.constant(g.normal(16, 6, 3)), g.constant(g.normal(16)), pads=[pad, pad])
    x = g("MaxPool", g.sign_of(x), kernel_shape=[2], strides=[2])
    x = g.sign_of(g("Conv", x, g.constant(g.signs(33, 16, 5)), g.constant(g.normal(33))))
    x = g("Conv", x, g.constant(g.signs(20, 33, 3)), dilations=[2])
    left = ((frames + 2 * pad - 2) // 2 - 4) - 4
    if head == "frames":
        g("Conv", g.sign_of(x), g.constant(g.signs(5, 20, 1)), name="y")
        return g.model({"x": [1, 6, frames]}, {"y": [1, 5, left]})
    flat = g("ReduceMean", x, axes=[2], keepdims=0) if head == "mean" else g("Flatten", g.sign_of(x))
    g("MatMul", flat, g.constant(g.signs(20 if head == "mean" else 20 * left, 7)), name="y")
    return g.model({"x": [1, 6, frames]}, {"y": [1, 7]})


def causal_stack(frames: int, head: str) -> onnx.ModelProto:
    """Convolutions that pad zeros in front, real and between two-valued layers, with a shortcut around one of them."""
    g = Onnx(11)
    x = g("Conv", "x", g.constant(g.normal(16, 6, 3)), g.constant(g.normal(16)), pads=[2, 0])
    for size, dilation in ((3, 2), (2, 5)):
        pads = [dilation * (size - 1), 0]
        y = g("Conv", g.sign_of(x), g.constant(g.signs(16, 16, size)), dilations=[dilation], pads=pads)
        x = g("Add", x, g("Mul", y, g.constant(g.normal(1, 16, 1))))
    x = g("Conv", g.sign_of(x), g.constant(g.signs(24, 16, 3)), strides=[2], pads=[2, 0])
    if head == "frames":
        g("Conv", g.sign_of(x), g.constant(g.signs(5, 24, 2)), pads=[1, 0], name="y")
        return g.model({"x": [1, 6, frames]}, {"y": [1, 5, (frames + 1) // 2]})
    g("MatMul", g("ReduceMean", g.sign_of(x), axes=[2], keepdims=0), g.constant(g.signs(24, 5)), name="y")
    return g.model({"x": [1, 6, frames]}, {"y": [1, 5]})


def same_stack(frames: int, head: str, stride: int = 1) -> onnx.ModelProto:
    """Convolutions padded on both sides, a pool, and a head over all frames or the last one."""
    g = Onnx(13)
    x = g("Conv", "x", g.constant(g.normal(16, 6, 3)), g.constant(g.normal(16)), pads=[1, 1])
    x = g("Conv", g.sign_of(x), g.constant(g.signs(33, 16, 5)), pads=[2, 2], strides=[stride])
    x = g("MaxPool", g.sign_of(x), kernel_shape=[2], strides=[2])
    x = g("Conv", x, g.constant(g.signs(20, 33, 3)), dilations=[2], pads=[2, 2])
    left = ((frames - 1) // stride + 1) // 2
    if head == "frames":
        g("Conv", g.sign_of(x), g.constant(g.signs(5, 20, 2)), pads=[0, 1], name="y")
        return g.model({"x": [1, 6, frames]}, {"y": [1, 5, left]})
    if head == "last":
        end = g("Slice", x, *(g.constant(np.array([n])) for n in (-1, left, 2)))
        flat = g("Flatten", end)
    else:
        flat = g("ReduceMean" if head == "mean" else "ReduceMax", g.sign_of(x), axes=[2], keepdims=0)
    g("MatMul", flat, g.constant(g.signs(20, 7)), name="y")
    return g.model({"x": [1, 6, frames]}, {"y": [1, 7]})


def residual_stack(pad: bool) -> onnx.ModelProto:
    """Blocks of two convolutions with a shortcut; with padding, the second one has stride 2 in both branches."""
    g = Onnx(14)
    x, frames = g("Conv", "x", g.constant(g.normal(16, 6, 1))), 36
    for stride in (1, 2 if pad else 1):
        y = x
        for step in (stride, 1):
            y = g("Conv", g.sign_of(y), g.constant(g.signs(16, 16, 3)), strides=[step], pads=[int(pad)] * 2)
            y = g("Mul", y, g.constant(g.normal(1, 16, 1)))
        if stride > 1:
            x = g("Conv", x, g.constant(g.normal(16, 16, 1)), strides=[2])
        if not pad:
            x = g("Slice", x, *(g.constant(np.array([n])) for n in (2, frames - 2, 2)))
        frames = frames // stride if pad else frames - 4
        x = g("Add", x, y)
    g("Conv", g.sign_of(x), g.constant(g.signs(5, 16, 1)), name="y")
    return g.model({"x": [1, 6, 36]}, {"y": [1, 5, frames]})


def picture_stack() -> onnx.ModelProto:
    """2-D convolutions whose rows are time, padded across time only."""
    g = Onnx(5)
    x = g("Conv", "x", g.constant(g.normal(8, 1, 3, 3)), strides=[2, 1], pads=[0, 1, 0, 1])
    x = g("MaxPool", g.sign_of(x), kernel_shape=[1, 2], strides=[1, 2])
    x = g("Conv", x, g.constant(g.signs(9, 8, 3, 3)), pads=[0, 1, 0, 1])
    g("MatMul", g("Flatten", g.sign_of(x)), g.constant(g.signs(9 * 10 * 4, 7)), name="y")
    return g.model({"x": [1, 1, 13, 20]}, {"y": [1, 7]})


def spectrum_stack(frames: int, pad: int, bins: int = 40) -> onnx.ModelProto:
    """Binary 2-D convolutions over time and 40 frequencies, or others."""
    g = Onnx(16)
    x = g.sign_of("x")
    for channels, out in ((1, 20), (20, 36), (36, 33)):
        y = g("Conv", x, g.constant(g.signs(out, channels, 3, 3)), pads=[pad, 1, pad, 1])
        x = g.sign_of(g("Add", y, g.constant(g.normal(1, out, 1, 1))))
    left = frames - (0 if pad else 6)
    g("Conv", x, g.constant(g.signs(4, 33, 1, bins)), name="y")
    return g.model({"x": [1, 1, frames, bins]}, {"y": [1, 4, left, 1]})


def channel_stack(frames: int, pad: int) -> onnx.ModelProto:
    """Binary convolutions over time, of 64 channels."""
    g = Onnx(17)
    x = g.sign_of("x")
    for channels in (24, 64, 64):
        y = g("Conv", x, g.constant(g.signs(64, channels, 3)), pads=[pad, pad])
        x = g.sign_of(g("Add", y, g.constant(g.normal(1, 64, 1))))
    g("Conv", x, g.constant(g.signs(5, 64, 1)), name="y")
    return g.model({"x": [1, 24, frames]}, {"y": [1, 5, frames - (0 if pad else 6)]})


def both(model: onnx.ModelProto, folder: Path, samples: int = 3, axis: int = 2, step: int = 1, **more: str) -> Compiled:
    """The outputs of the window code and of the stream code are equal bit for bit."""
    window = compile_model(model, Options(name="net", **more))
    stream = compile_model(model, Options(name="net", stream=axis, stream_frames=step, **more))
    rng = np.random.default_rng(0)
    libraries = [
        build_shared(c.files, c.manifest, folder / str(k), cflags=UNDEFINED) for k, c in enumerate((window, stream))
    ]
    for _ in range(samples):
        feeds = [rng.normal(scale=3, size=p["shape"]).astype(p["dtype"]) for p in window.manifest["inputs"]]
        for a, b in zip(*(library.run(feeds) for library in libraries), strict=True):
            assert np.array_equal(a, b)
    return stream


def test_thousand_frames(tmp_path: Path) -> None:
    stream = both(conv_stack(1000), tmp_path, 1)
    assert stream.manifest["stream"]["window_frames"] == 1000
    assert stream.manifest["stream"]["state_bytes"] < 1000
    assert stream.manifest["stream"]["first_result_after"] == 3 + 1 + 2 * (4 + 4)
    assert stream.manifest["stream"]["result_every"] == 2


@pytest.mark.parametrize("head", ["mean", "flat"])
def test_heads_over_the_whole_window(head: str, tmp_path: Path) -> None:
    stream = both(conv_stack(40, head), tmp_path)
    assert stream.manifest["stream"]["first_result_after"] == 40


@pytest.mark.parametrize("head", ["frames", "mean"])
def test_zeros_in_front_are_the_past_of_a_stream(head: str, tmp_path: Path) -> None:
    stream = both(causal_stack(41, head), tmp_path)
    assert {"onset_conv2d", "frame_classes"} <= {row["op"] for row in stream.manifest["layers"]}
    assert stream.manifest["stream"]["first_result_after"] == (1 if head == "frames" else 41)
    assert stream.manifest["stream"]["result_every"] == 2


def test_frames_may_be_padded_before_they_are_binarised(tmp_path: Path) -> None:
    """The spelling of many causal networks: pad, and a layer that takes signs, also of the padded zeros (+1)."""
    g = Onnx(21)
    x, zero = g("Conv", "x", g.constant(g.normal(16, 6, 1))), g.constant(0.0)
    for dilation in (1, 2):
        padded = g("Pad", x, g.constant(np.array([0, 0, 2 * dilation, 0, 0, 0])), zero)
        signs = g("Sign", g("Add", g("Sign", padded), g.constant(0.1)))
        x = g("Add", x, g("Conv", signs, g.constant(g.signs(16, 16, 3)), dilations=[dilation]))
    g("Conv", g.sign_of(x), g.constant(g.signs(5, 16, 1)), name="y")
    model = g.model({"x": [1, 6, 20]}, {"y": [1, 5, 20]})
    assert both(model, tmp_path).manifest["stream"]["first_result_after"] == 1


def test_means_of_two_bits_slide(tmp_path: Path) -> None:
    g = Onnx(12)
    levels = g("Clip", g("Round", g("Conv", "x", g.constant(g.normal(40, 6, 2)))), *map(g.constant, (0.0, 3.0)))
    g("ReduceMean", levels, axes=[2], keepdims=0, name="y")
    stream = both(g.model({"x": [1, 6, 30]}, {"y": [1, 40]}), tmp_path)
    assert "sliding_sum" in [row["op"] for row in stream.manifest["layers"]]


@pytest.mark.parametrize("real", ["float32", "int16"])
def test_signs_as_results_are_not_packed_along_time(real: str, tmp_path: Path) -> None:
    """The last layer's bits, scaled per channel, leave as numbers [1, C, T]."""
    g = Onnx(18)
    x = g.sign_of(g("Conv", g.sign_of("x"), g.constant(g.signs(33, 6, 3)), pads=[1, 1]))
    y = g("Conv", x, g.constant(g.signs(40, 33, 3)))
    g("Mul", g("Sign", g("Add", y, g.constant(g.normal(1, 40, 1)))), g.constant(g.normal(1, 40, 1)), name="y")
    stream = both(g.model({"x": [1, 6, 30]}, {"y": [1, 40, 28]}), tmp_path, real=real)
    last = stream.manifest["layers"][-1]["op"]
    assert last == ("level_values" if real == "float32" else "fixed_map"), "made where the result lies"


@pytest.mark.parametrize("pad", [0, 1])
def test_a_window_of_whole_words_is_read_as_a_dense_layer(pad: int, tmp_path: Path) -> None:
    """The frames that are kept are the patch: 3 x 64 bits, six words one after the other."""
    stream = both(channel_stack(12, pad), tmp_path, 1, optimize="size")
    shape = ".in_h = 1u, .in_w = 1u, .in_c = 192u, .out_h = 1u, .out_w = 1u, .out_c = 64u,"
    assert len(re.findall(rf"bnn2c_sliced_channels net_l\d+ =\s+{{.shape = {{{shape}", stream.files["net.c"])) == 2


def test_rows_as_time(tmp_path: Path) -> None:
    both(picture_stack(), tmp_path)


def test_work_per_frame_is_that_of_the_window_divided_by_its_frames() -> None:
    window, stream = (compile_model(conv_stack(1000), Options(name="net", stream=s)) for s in (None, 2))
    work = [sum(row["binary_macs"] + row["real_macs"] for row in c.manifest["layers"]) for c in (window, stream)]
    assert work[1] * 1000 / 2 <= 1.1 * 2 * work[0]


def test_results_come_one_by_one_and_reset_starts_again(tmp_path: Path) -> None:
    short, long = conv_stack(40, "mean"), conv_stack(40, "mean")
    compiled = compile_model(short, Options(name="net", stream=2))
    window = compile_model(long, Options(name="net"))
    library = ctypes.CDLL(str(build_shared(compiled.files, compiled.manifest, tmp_path).path))
    state = (ctypes.c_uint64 * (compiled.manifest["arena_bytes"] // 8 + 1))()
    frames = np.random.default_rng(1).normal(size=(60, 6)).astype(np.float32)
    out = np.zeros(7, np.float32)
    for _ in range(2):
        assert library.net_reset(state) == 0
        for t, frame in enumerate(frames):
            ready = t >= 39 and (t - 39) % 2 == 0
            pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (frame, out)]
            assert library.net_step(pointers[0], state, pointers[1]) == (0 if ready else 3)
            if ready:
                expected = window.reference([frames[t - 39 : t + 1].T[None]])[0]
                np.testing.assert_allclose(out, expected[0], rtol=0, atol=1e-5)
    assert library.net_reset(None) == 1


def test_two_streams_keep_apart_and_what_is_no_state_is_refused(tmp_path: Path) -> None:
    """States side by side, of the size that the header states; each gets frames of its own in turn."""
    compiled = compile_model(conv_stack(40, "mean"), Options(name="net", stream=2))
    assert "#define NET_STATE_BYTES NET_ARENA_BYTES\n" in compiled.files["net.h"]
    library = ctypes.CDLL(str(build_shared(compiled.files, compiled.manifest, tmp_path).path))
    words = -(-compiled.manifest["arena_bytes"] // 8)
    memory = np.full(3 * words, 0xA5A5A5A5A5A5A5A5, np.uint64)
    places = [memory.ctypes.data + 8 * words * number for number in range(3)]
    frames = np.random.default_rng(2).normal(size=(2, 60, 6)).astype(np.float32)
    alone, together = np.zeros((2, 60, 7), np.float32), np.zeros((2, 60, 7), np.float32)

    def step(frame: np.ndarray, state: int, out: np.ndarray) -> int:
        given = [ctypes.c_void_p(place) for place in (frame.ctypes.data, state, out.ctypes.data)]
        return int(library.net_step(*given))

    for number in range(2):
        assert library.net_reset(ctypes.c_void_p(places[0])) == 0
        for frame, out in zip(frames[number], alone[number], strict=True):
            assert step(frame, places[0], out) in (0, 3)
    assert [library.net_reset(ctypes.c_void_p(place)) for place in places[:2]] == [0, 0]
    for t in range(60):
        assert {step(frames[number, t], places[number], together[number, t]) for number in range(2)} <= {0, 3}
    assert np.array_equal(alone, together) and alone[0].any() and not np.array_equal(alone[0], alone[1])
    before = memory.copy()
    for shift in (1, 2, 4):
        assert library.net_reset(ctypes.c_void_p(places[1] + shift)) == 2
        assert step(frames[0, 0], places[1] + shift, together[0, 0]) == 2
    assert np.array_equal(memory, before) and (memory[2 * words :] == 0xA5A5A5A5A5A5A5A5).all()


@pytest.mark.parametrize(
    ("model", "step"),
    [
        (conv_stack(1000), 6),
        (causal_stack(41, "frames"), 4),
        (same_stack(41, "frames", 2), 8),
        (same_stack(40, "max", 2), 4),
        (same_stack(41, "last"), 2),
        (residual_stack(True), 8),
        (picture_stack(), 4),
    ],
    ids=["conv", "causal", "same", "max", "last", "shortcuts", "rows"],
)
def test_steps_of_several_frames_give_the_same_results(model: onnx.ModelProto, step: int, tmp_path: Path) -> None:
    facts = both(model, tmp_path, 2, step=step).manifest["stream"]
    assert facts["step_frames"] == step
    assert facts["step_results"] == step // facts["result_every"]


@pytest.mark.parametrize(("step", "pad"), [(1, 0), (1, 1), (7, 1)])
def test_frames_are_kept_as_bit_planes(step: int, pad: int, tmp_path: Path) -> None:
    """Frequencies are the lanes of one frame, and frames need not begin at words."""
    stream = both(spectrum_stack(16, pad), tmp_path, 1, step=step, optimize="speed")
    kernels = [row["kernel"] for row in stream.manifest["layers"] if row["kernel"] != "frame_classes"]
    family = "few_pixels" if step == 1 else "class_sharing"  # 40 pixels: a word, and few of the next
    assert f"{family}, history, {family}" in ", ".join(kernels)


@pytest.mark.parametrize(("step", "pad", "bins"), [(1, 0, 64), (1, 1, 32), (5, 1, 64)])
def test_bit_planes_of_whole_words_are_moved_as_words(step: int, pad: int, bins: int, tmp_path: Path) -> None:
    """Where frames begin with words no bit changes its place in a word."""
    stream = both(spectrum_stack(16, pad, bins), tmp_path, 1, step=step, optimize="speed")
    assert "class_sharing, history, class_sharing" in ", ".join(
        row["kernel"] for row in stream.manifest["layers"] if row["kernel"] != "frame_classes"
    )
    assert "bnn2c_history_bits(" in stream.files["net.c"] and "bnn2c_history_planes(" not in stream.files["net.c"]


@pytest.mark.parametrize("step", [2, 6])
def test_a_stream_of_several_frames_may_end_after_any_number_of_frames(step: int, tmp_path: Path) -> None:
    """Full steps, then the frames that are left: all results of a window of that length, in order."""
    stream = compile_model(same_stack(40, "frames"), Options(name="net", stream=2, stream_frames=step))
    library = ctypes.CDLL(str(build_shared(stream.files, stream.manifest, tmp_path).path))
    state = (ctypes.c_uint64 * (stream.manifest["arena_bytes"] // 8 + 1))()
    results = stream.manifest["stream"]["step_results"]

    class Result(ctypes.Structure):
        _fields_ = (("first", ctypes.c_uint32), ("count", ctypes.c_uint32), ("y", ctypes.c_float * (5 * results)))

    for length in (33, 50, 61):
        frames = np.random.default_rng(length).normal(size=(length, 6)).astype(np.float32)
        padded = np.concatenate([frames, np.full((step, 6), 99, np.float32)])
        assert library.net_reset(state) == 0
        found, out = [], Result()
        for t in range(length // step + stream.manifest["stream"]["flush_steps"]):
            # Shape [1, 6, step] in C order: the frames of a step lie side by side.
            first = min(t, length // step) * step
            given = np.ascontiguousarray(padded[first : first + step].T).ctypes.data_as(ctypes.c_void_p)
            if t < length // step:
                status = library.net_step(given, state, ctypes.byref(out))
            else:
                number = ctypes.c_uint32(t - length // step)
                status = library.net_flush(given, ctypes.c_uint32(length % step), number, state, ctypes.byref(out))
            assert status == (0 if out.count else 3)
            rows = np.array(out.y).reshape(5, results).T
            found += list(rows[out.first : out.first + out.count])
        before = bytes(state)
        for frames_left, past in ((length % step, stream.manifest["stream"]["flush_steps"]), (step, 0)):
            asked = [ctypes.c_uint32(number) for number in (frames_left, past)]
            assert library.net_flush(given, *asked, state, ctypes.byref(out)) == 3
        assert bytes(state) == before, "nothing to flush any more, or more frames than a flush takes"
        window = compile_model(same_stack(length, "frames"), Options(name="net"))
        np.testing.assert_allclose(np.array(found), window.reference([frames.T[None]])[0][0].T, rtol=0, atol=1e-5)


@pytest.mark.parametrize("step", [1, 4])
def test_a_stream_may_run_for_ever(step: int, tmp_path: Path) -> None:
    """No counter goes on: of frames that are all the same the states come round."""
    stream = compile_model(causal_stack(41, "frames"), Options(name="net", stream=2, stream_frames=step))
    library = ctypes.CDLL(str(build_shared(stream.files, stream.manifest, tmp_path).path))
    state = (ctypes.c_uint64 * (stream.manifest["arena_bytes"] // 8 + 1))()
    frames, out = np.ones(6 * step, np.float32), np.zeros(5 * step + 2, np.float32)
    pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (frames, out)]
    assert library.net_reset(state) == 0
    seen = []
    for _ in range(100):
        assert library.net_step(pointers[0], state, pointers[1]) in (0, 3)
        seen.append(bytes(state))
    assert seen[-1] == seen[-21] != seen[0]  # rings of 4 and 5 frames, a result every second frame


@pytest.mark.cross
@pytest.mark.parametrize(("model", "step"), [(channel_stack(12, 1), 1), (spectrum_stack(9, 0), 3)], ids=["1d", "2d"])
def test_the_same_time_for_all_frames_within_the_stack(model: onnx.ModelProto, step: int, tmp_path: Path) -> None:
    """Under QEMU, on pixels: frames and bit planes are kept without a look at them; `net_run` counts as stack."""
    target = load_target("cortex-m4")
    options = {"stream": 2, "stream_frames": step, "input_scale": 1 / 255, "input_offset": -0.5}
    found = compile_model(model, Options(name="net", target="cortex-m4", optimize="speed", **options))  # type: ignore[arg-type]
    assert f"NET_STACK_BYTES {found.manifest['stack_bytes']}u" in found.files["net.h"]
    try:
        require_tools(target)
    except ToolchainMissing as error:
        pytest.skip(str(error))
    rng, shape = np.random.default_rng(5), found.manifest["inputs"][0]["shape"]
    feeds = [[np.full(shape, pixel, np.uint8)] for pixel in (0, 255)]
    feeds += [[rng.integers(0, 256, shape).astype(np.uint8)] for _ in range(4)]
    run = run_on_target(found.files, found.manifest, target, feeds, tmp_path, timeout=120)
    for got, given in zip(run.outputs, feeds, strict=True):
        assert np.array_equal(got[0].ravel(), found.reference(given)[0].ravel())
    assert run.guards_intact and run.constant_time
    assert run.stack_bytes <= found.manifest["stack_bytes"]


def test_steps_have_to_fit_the_strides() -> None:
    with pytest.raises(CompileError, match="a layer with a result every 4 frames") as caught:
        compile_model(same_stack(40, "frames", 2), Options(name="net", stream=2, stream_frames=6))
    assert caught.value.diagnostics[0].code == "BNN028"
    with pytest.raises(CompileError, match="no meaning without --stream"):
        Options(stream_frames=4)


@pytest.mark.slow
@pytest.mark.parametrize("pad", [0, 1])
def test_work_of_a_step_on_cortex_m4(pad: int, tmp_path: Path) -> None:
    """The same bits as the window, and instructions at most 1.1 times the window's for as many frames.

    One frame at a time runs channel by channel, as the window does at `size`; 32 frames as the window at `speed`.
    Counted are the layers: that `net_run` copies the frames out of the window is no work of a stream.
    """
    model, counts = channel_stack(1000, pad), []
    options = [{}, {"stream": 2}, {"stream": 2, "stream_frames": 32}]
    feeds = [np.random.default_rng(3).normal(size=(1, 24, 1000)).astype(np.float32)]
    for optimize, kinds in (("size", options[:2]), ("speed", options[::2])):
        runs = []
        for number, kind in enumerate(kinds):
            compiled = compile_model(model, Options(name="net", target="cortex-m4", optimize=optimize, **kind))
            folder = tmp_path / f"{optimize}{number}"
            runs.append(
                run_on_target(
                    compiled.files,
                    compiled.manifest,
                    load_target("cortex-m4"),
                    [feeds],
                    folder,
                    opt=OPTIMIZE_FLAGS[optimize],
                )  # fmt: skip
            )
        assert np.array_equal(runs[0].outputs[0][0], runs[1].outputs[0][0])
        counts.append(sum(runs[1].layer_instructions) / sum(runs[0].layer_instructions))
    assert max(counts) <= 1.1


def position_embedding() -> onnx.ModelProto:
    g = Onnx(15)
    g("Conv", g("Add", "x", g.constant(g.normal(1, 6, 40))), g.constant(g.normal(5, 6, 3)), name="y")
    return g.model({"x": [1, 6, 40]}, {"y": [1, 5, 38]})


@pytest.mark.parametrize(
    ("model", "axis", "words"),
    [(position_embedding(), 2, "constants differ from frame to frame"), (conv_stack(40), 5, "axis 5")],
    ids=["positions", "axis"],
)
def test_refusals_name_the_reason(model: onnx.ModelProto, axis: int, words: str) -> None:
    with pytest.raises(CompileError, match=words) as caught:
        compile_model(model, Options(name="net", stream=axis))
    assert caught.value.diagnostics[0].code == "BNN028"


def test_the_window_graph_stays_the_oracle() -> None:
    compiled = compile_model(conv_stack(40), Options(name="net", stream=2))
    assert compiled.manifest["stream"]["window_frames"] == 40
    assert compiled.reference([np.zeros((1, 6, 40), np.float32)])[0].shape == (1, 5, 11)


@pytest.mark.parametrize("every_step", [False, True])
def test_recurrent_steps_keep_their_state(every_step: bool, tmp_path: Path) -> None:
    g = Onnx(6)
    sums = g("Conv", g("Transpose", "x", perm=[0, 2, 1]), g.constant(g.normal(8, 6, 3)))
    series = g("Transpose", g.sign_of(sums), perm=[2, 0, 1])
    weights = [g.constant(g.signs(1, 30, n)) for n in (8, 10)]
    last = g("GRU", series, *weights, g.constant(g.normal(1, 60)), outputs=2, hidden_size=10)
    g("Identity", last if every_step else f"{last}_1", name="y")
    shape = [28, 1, 1, 10] if every_step else [1, 1, 10]
    model = g.model({"x": [1, 30, 6]}, {"y": shape})
    window, stream = (compile_model(model, Options(name="net", stream=s)) for s in (None, 1))
    feeds = [np.random.default_rng(0).normal(size=(1, 30, 6)).astype(np.float32)]
    found = [build_shared(c.files, c.manifest, tmp_path / str(k)).run(feeds)[0] for k, c in enumerate((window, stream))]
    assert np.array_equal(*found)
    assert "loop" in [row["op"] for row in stream.manifest["layers"]]


def recurrent_between_convolutions(frames: int, pad: int) -> onnx.ModelProto:
    """Strided convolution, GRU, convolution, LSTM: both layers' first frames come in the middle of a step."""
    g, x, width = Onnx(8), "x", 6
    for op, gates, stride in (("GRU", 3, 2), ("LSTM", 4, 1)):
        sums = g("Conv", x, g.constant(g.signs(8, width, 3)), strides=[stride], pads=[pad, pad])
        weights = [g.constant(g.signs(1, gates * 10, n)) for n in (8, 10)]
        series = g("Transpose", g.sign_of(sums), perm=[2, 0, 1])
        states = g(op, series, *weights, g.constant(g.normal(1, gates * 20)), hidden_size=10)
        x, width = g("Transpose", g("Squeeze", states, g.constant(np.array([1]))), perm=[1, 2, 0]), 10
    g("Identity", x, name="y")
    left = (frames - 3 + 2 * pad) // 2 + 1
    return g.model({"x": [1, 6, frames]}, {"y": [1, 10, left - 2 + 2 * pad]})


@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("step", [2, 16])
def test_states_begin_with_the_first_frame_that_exists(step: int, pad: int, tmp_path: Path) -> None:
    """In steps of several frames, what comes before it in the same step must not change them."""
    both(recurrent_between_convolutions(41, pad), tmp_path, 2, step=step)


@pytest.mark.parametrize("real", ["float32", "int16", "int8"])
@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
def test_recurrent_operators_are_streamed(op: str, real: str, tmp_path: Path) -> None:
    """In integers, too, the first step, from zeros, and the last one, whose state is not read, are like the others."""
    stream = both(recurrent_operator(op, 9, "forward"), tmp_path, 1, 0, real=real)
    assert [row["op"] for row in stream.manifest["layers"]].count("loop") == 1
    assert stream.manifest["stream"]["first_result_after"] == stream.manifest["stream"]["result_every"] == 1


def test_rows_of_a_table_are_streamed(tmp_path: Path) -> None:
    """Text, one symbol at a time."""
    g = Onnx(7)
    rows = g("Transpose", g("Gather", g.constant(g.signs(50, 32)), "x"), perm=[0, 2, 1])
    found = g("Conv", g.sign_of(g("Conv", rows, g.constant(g.signs(40, 32, 3)))), g.constant(g.signs(5, 40, 2)))
    g("ReduceMax", found, axes=[2], keepdims=0, name="y")
    model = g.model({"x": [1, 30]}, {"y": [1, 5]})
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT32
    both(model, tmp_path, axis=1)


@pytest.mark.parametrize(("head", "stride"), [("frames", 1), ("frames", 2), ("mean", 1), ("max", 2), ("last", 1)])
def test_padding_behind_the_window_comes_when_the_stream_ends(head: str, stride: int, tmp_path: Path) -> None:
    stream = both(same_stack(41, head, stride), tmp_path)
    assert stream.manifest["stream"]["flush_steps"] > 0
    assert "net_flush" in stream.files["net.h"]


@pytest.mark.parametrize("pad", [False, True])
def test_branches_meet(pad: bool, tmp_path: Path) -> None:
    stream = both(residual_stack(pad), tmp_path)
    assert (stream.manifest["stream"]["flush_steps"] > 0) == pad


def test_a_stream_may_end_after_any_number_of_frames(tmp_path: Path) -> None:
    """Step and flush give what the network over a window of that length gives."""
    stream = compile_model(same_stack(40, "frames"), Options(name="net", stream=2))
    library = ctypes.CDLL(str(build_shared(stream.files, stream.manifest, tmp_path).path))
    state = (ctypes.c_uint64 * (stream.manifest["arena_bytes"] // 8 + 1))()
    out = np.zeros(5, np.float32)
    for length in (33, 50, 61):
        frames = np.random.default_rng(length).normal(size=(length, 6)).astype(np.float32)
        assert library.net_reset(state) == 0
        found = []
        for t in range(length + stream.manifest["stream"]["flush_steps"]):
            target = out.ctypes.data_as(ctypes.c_void_p)
            if t < length:
                status = library.net_step(frames[t].ctypes.data_as(ctypes.c_void_p), state, target)
            else:
                status = library.net_flush(ctypes.c_uint32(t - length), state, target)
            assert status in (0, 3)
            found += [out.copy()] if status == 0 else []
        window = compile_model(same_stack(length, "frames"), Options(name="net"))
        expected = window.reference([frames.T[None]])[0][0].T
        np.testing.assert_allclose(np.array(found), expected, rtol=0, atol=1e-5)
        before = bytes(state)
        assert library.net_flush(ctypes.c_uint32(stream.manifest["stream"]["flush_steps"]), state, target) == 3
        assert bytes(state) == before, "there is nothing to flush any more"


@pytest.mark.parametrize(
    ("real", "model"),
    [("int16", residual_stack(True)), ("int16", causal_stack(41, "mean")), ("int8", same_stack(40, "mean"))],
    ids=["shortcuts", "causal", "padded"],
)
def test_fixed_point_streams(real: str, model: onnx.ModelProto, tmp_path: Path) -> None:
    both(model, tmp_path / "one", 1, real=real)
    both(model, tmp_path / "four", 1, step=4, real=real)
