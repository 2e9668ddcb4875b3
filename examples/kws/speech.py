"""Speaks the training and test clips with espeak-ng and turns them into features with logmel.c.

`apt-get install espeak-ng` and a C compiler are needed. Synthetic voices are cleaner and more alike than people: the
accuracy says that the chain works, not how a product would do. Voices of the test set do not occur in the training set.
"""

from __future__ import annotations

import ctypes
import io
import subprocess
import tempfile
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
RATE, SAMPLES, HOP, SIZE, BANDS = 8000, 8000, 160, 256, 20
FRAMES = (SAMPLES - SIZE) // HOP + 1
WORDS = ("yes", "no", "stop", "go", "left", "right", "up", "down")
CLASSES = (*WORDS, "unknown", "noise")
OTHERS = (
    "house",
    "river",
    "seven",
    "table",
    "window",
    "music",
    "paper",
    "orange",
    "doctor",
    "garden",
    "eight",
    "marvin",
    "happy",
    "tree",
    "bird",
    "follow",
    "learn",
    "visual",
    "forward",
    "wow",
    "sheila",
    "three",
    "cat",
    "zero",
    "water",
    "number",
    "people",
    "mountain",
)
ACCENTS = ("en-gb", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan")
TRAIN_VOICES = ("m1", "m2", "m3", "m4", "m5", "m6", "f1", "f2", "f3")
TEST_VOICES = ("m7", "f4", "f5")


def front_end() -> ctypes.CDLL:
    """logmel.c as a library: training hears what the device hears."""
    path = Path(tempfile.mkdtemp()) / "logmel.so"
    subprocess.run(["cc", "-std=c99", "-O2", "-shared", "-fPIC", "-o", path, HERE / "logmel.c"], check=True)
    return ctypes.CDLL(str(path))


def features(library: ctypes.CDLL, clip: np.ndarray) -> np.ndarray:
    """int16 samples -> uint8 [bands, frames]."""
    out = np.zeros((FRAMES, BANDS), np.uint8)
    for frame in range(FRAMES):
        piece = np.ascontiguousarray(clip[frame * HOP : frame * HOP + SIZE])
        library.logmel_frame(piece.ctypes.data_as(ctypes.c_void_p), out[frame].ctypes.data_as(ctypes.c_void_p))
    return out.T.copy()


def spoken(word: str, voice: str, speed: int, pitch: int) -> np.ndarray:
    """The word at 8 kHz, real numbers between -1 and 1."""
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", word]
    with wave.open(io.BytesIO(subprocess.run(command, check=True, capture_output=True).stdout)) as sound:
        rate, data = sound.getframerate(), sound.readframes(10**7)
    samples = np.frombuffer(data, np.int16) / 32768
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    samples = samples[loud[0] : loud[-1] + 1] if len(loud) else samples
    count = len(samples) * RATE // rate
    return np.fft.irfft(np.fft.rfft(samples)[: count // 2 + 1], count) * count / len(samples)


def noise(rng: np.random.Generator) -> np.ndarray:
    """One second of noise whose spectrum falls as 1/f to a random power."""
    spectrum = np.fft.rfft(rng.normal(size=SAMPLES))
    spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** rng.uniform(0, 1)
    found = np.fft.irfft(spectrum, SAMPLES)
    return found / found.std()


def in_noise(speech: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The word somewhere in one second, at some loudness, 5 to 30 dB above the noise; int16."""
    clip = np.zeros(SAMPLES)
    speech = speech[:SAMPLES]
    first = rng.integers(0, SAMPLES - len(speech) + 1)
    loudness = 10 ** rng.uniform(-0.7, -0.1)
    level = speech.std() + 1e-9 if len(speech) else 1.0
    clip[first : first + len(speech)] = speech * (loudness / max(np.abs(speech).max(initial=0.0), 1e-9))
    level = level * loudness / max(np.abs(speech).max(initial=0.0), 1e-9) if len(speech) else loudness / 4
    clip += noise(rng) * level * 10 ** (-rng.uniform(5, 30) / 20)
    return np.clip(np.rint(clip * 30000), -32768, 32767).astype(np.int16)


def clips(
    voices: Sequence[str], per_word: int, noisy: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, int]]:
    """(int16 samples, class) of every clip; each spoken word is heard `noisy` times in different noise."""
    for number, word in enumerate((*WORDS, "unknown")):
        for _ in range(per_word * (2 if word == "unknown" else 1)):
            text = str(rng.choice(OTHERS)) if word == "unknown" else word
            voice = f"{rng.choice(ACCENTS)}+{rng.choice(voices)}"
            speech = spoken(text, voice, int(rng.integers(120, 220)), int(rng.integers(20, 80)))
            for _ in range(noisy):
                yield in_noise(speech, rng), number
    for _ in range(per_word * noisy):
        yield in_noise(np.zeros(0), rng), len(WORDS) + 1
