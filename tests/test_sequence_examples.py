"""The examples of sequences do what their READMEs say."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def run(script: str, folder: Path, *words: str) -> str:
    """Standard output of an example that runs in an empty folder."""
    command = [sys.executable, str(ROOT / "examples" / script), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def test_the_language_model_writes_words(tmp_path: Path) -> None:
    text = run("charlm/write.py", tmp_path, "the ", "600", "5")
    assert len(text) > 600
    words = [word for word in text.split() if word.isalpha()]
    common = sum(word in {"the", "of", "to", "a", "is", "in", "and", "object", "class"} for word in words)
    assert common >= 5
    assert text == run("charlm/write.py", tmp_path, "the ", "600", "5")


def test_the_keyword_spotter_hears_words(tmp_path: Path) -> None:
    text = run("kws/listen.py", tmp_path)
    assert text.count("heard") == 30
    assert text.count("<-") <= 3
    share = float(text.splitlines()[-1].split()[0])
    assert share >= 95


def test_the_shipped_test_clips_are_small_and_complete() -> None:
    test = np.load(ROOT / "examples" / "kws" / "kws_test.npz")
    assert test["sound"].dtype == np.int16
    assert test["input"].dtype == np.uint8
    assert len(test["label"]) == len(test["input"])


def test_the_watch_sees_activities(tmp_path: Path) -> None:
    assert run("har/watch.py", tmp_path).splitlines()[-1] == "12 of 12 recordings right"


def test_the_reader_knows_languages(tmp_path: Path) -> None:
    assert run("text/read.py", tmp_path).splitlines()[-1] == "24 of 24 right"
    assert run("text/read.py", tmp_path, "Wie spät ist es?").split()[-5] == "German"


def log_mel(samples: np.ndarray) -> np.ndarray:
    """What examples/kws/logmel.h promises, in real numbers: 256 samples to 20 levels."""
    points = np.linspace(*(2595 * np.log10(1 + f / 700) for f in (100.0, 3900.0)), 22)
    bins = np.rint(700 * (10 ** (points / 2595) - 1) * 256 / 8000)
    for k in range(1, 22):
        bins[k] = max(bins[k], bins[k - 1] + 1)
    k = np.arange(129)
    rising, falling = ((k - bins[:-2, None] + 1) / (bins[1:-1] - bins[:-2] + 1)[:, None], bins[2:, None] - k)
    falling = falling / (bins[2:] - bins[1:-1])[:, None]
    bands = np.clip(np.where(k < bins[1:-1, None], rising, falling), 0, None)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    energy = bands @ np.abs(np.fft.rfft(samples * hann) / 4) ** 2 + 1
    whole = np.floor(np.log2(energy))
    return np.clip(8 * whole + np.floor(8 * (energy / 2**whole - 1)) - 112, 0, 255)


def test_the_fixed_point_features_are_log_mel(tmp_path: Path) -> None:
    library = tmp_path / "logmel.so"
    source = ROOT / "examples" / "kws" / "logmel.c"
    subprocess.run(["cc", "-std=c99", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    front_end = ctypes.CDLL(str(library))
    clips = np.load(ROOT / "examples" / "kws" / "kws_test.npz")["sound"]
    rng = np.random.default_rng(0)
    noise = [rng.integers(-size, size + 1, 8000).astype(np.int16) for size in (3, 300, 32767)]
    pieces = [np.ascontiguousarray(clip[t : t + 256]) for clip in (*clips, *noise) for t in range(0, 7700, 480)]
    levels = np.zeros((len(pieces), 20), np.uint8)
    for piece, out in zip(pieces, levels, strict=True):
        front_end.logmel_frame(*(a.ctypes.data_as(ctypes.c_void_p) for a in (piece, out)))
    gap = np.abs(levels.astype(int) - np.stack([log_mel(piece) for piece in pieces]))
    assert gap.max() <= 1
    assert (gap > 0).mean() < 0.02
    assert levels.min() == 0
    assert levels.max() > 150
