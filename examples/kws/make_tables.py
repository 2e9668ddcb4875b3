"""Writes logmel_tables.h, the constants of logmel.c: python examples/kws/make_tables.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

SAMPLES, RATE, BANDS, LOW, HIGH = 256, 8000, 20, 100.0, 3900.0


def mel(hertz: float) -> float:
    """The mel scale of O'Shaughnessy."""
    return 2595 * float(np.log10(1 + hertz / 700))


def edges() -> list[int]:
    """First FFT bin, centres, and the bin after the last one, of the triangular bands; at least one bin apart."""
    points = np.linspace(mel(LOW), mel(HIGH), BANDS + 2)
    bins = np.rint(700 * (10 ** (points / 2595) - 1) * SAMPLES / RATE).astype(int).tolist()
    for k in range(1, len(bins)):
        bins[k] = max(bins[k], bins[k - 1] + 1)
    return [int(b) for b in bins]


def triangle(found: list[int], band: int) -> list[int]:
    """Weights 0 ... 256 of the bins of one band."""
    first, centre, last = found[band : band + 3]
    rising = [(k - first + 1) / (centre - first + 1) for k in range(first, centre)]
    falling = [1 - (k - centre) / (last - centre) for k in range(centre, last)]
    return [round(256 * w) for w in rising + falling]


def array(kind: str, name: str, values: Sequence[int], size: str = "") -> str:
    """One C array."""
    return f"static const {kind} {name}[{size or len(values)}] = {{{', '.join(map(str, values))}}};\n"


def main() -> None:
    """Write the header."""
    angles, found = 2 * np.pi * np.arange(SAMPLES // 2) / SAMPLES, edges()
    rows = [triangle(found, band) for band in range(BANDS)]
    width = max(map(len, rows))
    q15 = [np.minimum(np.rint(32768 * x), 32767).astype(int).tolist() for x in (np.cos(angles), np.sin(angles))]
    hann = np.rint(32767 * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SAMPLES) / SAMPLES))).astype(int).tolist()
    turned = [int(f"{k:08b}"[::-1], 2) for k in range(SAMPLES)]
    text = "/* logmel_tables.h - written by make_tables.py. */\n#include <stdint.h>\n\n"
    text += array("int16_t", "logmel_cosine", q15[0]) + array("int16_t", "logmel_sine", q15[1])
    text += array("int16_t", "logmel_hann", hann) + array("uint8_t", "logmel_reversed", turned)
    text += array("uint8_t", "logmel_edges", found)
    lines = ",\n".join("  {" + ", ".join(map(str, row + [0] * (width - len(row)))) + "}" for row in rows)
    text += f"static const uint16_t logmel_weights[{BANDS}][{width}] = {{\n{lines}\n}};\n"
    Path(__file__).with_name("logmel_tables.h").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
