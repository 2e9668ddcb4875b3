"""Dilated causal convolutions as streams: padding reaches many frames of a window, and none of what comes later."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from sequence_models import Onnx

from bnn2c.errors import CompileError
from bnn2c.options import Options
from bnn2c.pipeline import compile_model
from bnn2c.toolchain import build_shared

FRAMES = 1000


def dilated(frames: int, dilations: tuple[int, ...], stride: int = 1, gated: bool = False) -> onnx.ModelProto:
    """Binarised convolutions of three taps that pad zeros in front, with biases; sums are exact in float32."""
    g = Onnx(21)
    x = g("Conv", "x", g.constant(g.signs(16, 6, 3)), g.constant(g.normal(16)), pads=[2, 0], strides=[stride])
    for dilation in dilations:
        ways = []
        for _ in range(1 + gated):
            weights, bias = g.constant(g.signs(16, 16, 3)), g.constant(g.normal(16))
            code = g.sign_of(x)
            ways.append(g("Conv", code, weights, bias, dilations=[dilation], pads=[2 * dilation, 0]))
        y = g("Mul", g("Tanh", ways[0]), g("Sigmoid", ways[1])) if gated else ways[0]
        x = g("Add", g("Conv", g.sign_of(y), g.constant(g.signs(16, 16, 1))), g.sign_of(x)) if gated else y
    g("Conv", g.sign_of(x), g.constant(g.signs(5, 16, 1)), name="y")
    return g.model({"x": [1, 6, frames]}, {"y": [1, 5, (frames - 1) // stride + 1]})


def streamed(model: onnx.ModelProto, frames: np.ndarray, folder: Path) -> np.ndarray:
    """The results [n, 5] of a stream of frames [N, 6]."""
    compiled = compile_model(model, Options(name="net", stream=2))
    assert "spaced_history" in [row["op"] for row in compiled.manifest["layers"]]
    library = ctypes.CDLL(str(build_shared(compiled.files, compiled.manifest, folder).path))
    state = (ctypes.c_uint64 * (compiled.manifest["arena_bytes"] // 8 + 1))()
    assert library.net_reset(state) == 0
    found, out = [], np.zeros(5, np.float32)
    for frame in frames:
        pointers = frame.ctypes.data_as(ctypes.c_void_p), state, out.ctypes.data_as(ctypes.c_void_p)
        status = library.net_step(*pointers)
        assert status in (0, 3)
        found += [out.copy()] if status == 0 else []
    return np.array(found)


@pytest.mark.parametrize(
    ("window", "dilations", "stride", "gated"),
    [
        (32, (2, 4, 8), 1, False),
        (24, (1, 2, 4, 8), 1, False),
        (17, (8,), 1, False),
        (33, (16,), 1, False),
        (64, (2, 8), 2, False),
        (20, (1, 2, 4, 8), 1, True),
    ],
)
def test_a_thousand_frames(window: int, dilations: tuple[int, ...], stride: int, gated: bool, tmp_path: Path) -> None:
    """Those of the network over all of them, although padding reaches most of the short window, or all of a stack."""
    frames = np.random.default_rng(5).integers(-8, 9, size=(FRAMES, 6)).astype(np.float32)
    whole = dilated(FRAMES, dilations, stride, gated)
    session = onnxruntime.InferenceSession(whole.SerializeToString())
    (expected,) = session.run(None, {"x": np.ascontiguousarray(frames.T[None])})
    found = streamed(dilated(window, dilations, stride, gated), frames, tmp_path)
    assert np.array_equal(found, expected[0].T)


def in_blocks(model: onnx.ModelProto, frames: np.ndarray, step: int, folder: Path) -> np.ndarray:
    """The results [n, 5] of steps of several frames; frames that are left are flushed, with others behind."""
    compiled = compile_model(model, Options(name="net", stream=2, stream_frames=step))
    library = ctypes.CDLL(str(build_shared(compiled.files, compiled.manifest, folder).path))
    state, stream = (ctypes.c_uint64 * (compiled.manifest["arena_bytes"] // 8 + 1))(), compiled.manifest["stream"]
    results, steps, left = stream["step_results"], len(frames) // step, ctypes.c_uint32(len(frames) % step)

    class Result(ctypes.Structure):
        _fields_ = (("first", ctypes.c_uint32), ("count", ctypes.c_uint32), ("y", ctypes.c_float * (5 * results)))

    assert library.net_reset(state) == 0
    found, out, padded = [], Result(), np.concatenate([frames, np.full((step, 6), 99, np.float32)])
    for k in range(steps + stream["flush_steps"]):
        first = min(k, steps) * step
        given = np.ascontiguousarray(padded[first : first + step].T).ctypes.data_as(ctypes.c_void_p)
        if k < steps:
            status = library.net_step(given, state, ctypes.byref(out))
        else:
            status = library.net_flush(given, left, ctypes.c_uint32(k - steps), state, ctypes.byref(out))
        assert status in (0, 3)
        found += list(np.array(out.y).reshape(5, results).T[out.first : out.first + out.count]) if status == 0 else []
    return np.array(found)


@pytest.mark.parametrize(
    ("step", "window", "dilations", "stride", "gated"),
    [(2, 64, (2, 8), 2, False), (4, 17, (8,), 1, False), (8, 20, (1, 2, 4, 8), 1, True), (32, 33, (16,), 1, False)],
)
def test_steps_of_several_frames(
    step: int, window: int, dilations: tuple[int, ...], stride: int, gated: bool, tmp_path: Path
) -> None:
    """Full steps and a part of one: all results of the network over that many frames."""
    frames = np.random.default_rng(6).integers(-8, 9, size=(8 * step + step // 2 + 101, 6)).astype(np.float32)
    whole = dilated(len(frames), dilations, stride, gated)
    session = onnxruntime.InferenceSession(whole.SerializeToString())
    (expected,) = session.run(None, {"x": np.ascontiguousarray(frames.T[None])})
    found = in_blocks(dilated(window, dilations, stride, gated), frames, step, tmp_path)
    assert np.array_equal(found, expected[0].T)


@pytest.mark.parametrize("window", [16, 24, 32])
def test_a_window_in_which_all_frames_are_padded(window: int) -> None:
    """Its thresholds hold for the first frames of a stream only."""
    with pytest.raises(CompileError, match="window is too short.*33 frames are enough"):
        compile_model(dilated(window, (16,)), Options(name="net", stream=2))
