"""The examples of sequences do what their READMEs say."""

from __future__ import annotations

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
