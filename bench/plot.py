"""bench/results.svg: i32 of layers C and F per target on a logarithmic scale, with the goals; no library needed."""

from __future__ import annotations

import math

from goals import CMSIS_NN_I32, goal

WIDTH, LEFT, ROW, TOP = 760, 120, 34, 64
TICKS = (0.5, 1, 2, 4, 8, 16, 32, 64)
LOW, HIGH = 0.4, 80.0
COLORS = {"C": "#2b6cb0", "F": "#b7791f"}
NAMES = {"C": "convolution 3x3, 64 to 64, 16x16", "F": "dense 1024 to 1024"}


def x_of(i32: float) -> float:
    """Horizontal place of a value."""
    return LEFT + (WIDTH - LEFT - 70) * math.log(i32 / LOW) / math.log(HIGH / LOW)


def plot(rows: list[dict]) -> str:
    """The picture as text."""
    shown = [r for r in rows if r["network"] in NAMES and r["optimize"] == "speed"]
    targets = list(dict.fromkeys(r["target"] for r in shown))
    bottom = TOP + ROW * len(targets)
    parts = [*_axis(bottom), *_legend()]
    for row in shown:
        parts += _bar(row, TOP + ROW * targets.index(row["target"]))
    parts += [_text(LEFT - 8, TOP + ROW * i + 20, name, "end") for i, name in enumerate(targets)]
    style = '<style>text{font:12px sans-serif;fill:#333}</style><rect width="100%" height="100%" fill="#fff"/>'
    size = f'width="{WIDTH}" height="{bottom + 30}" viewBox="0 0 {WIDTH} {bottom + 30}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{style}\n' + "\n".join(parts) + "\n</svg>\n"


def _bar(row: dict, top: float) -> list[str]:
    second = row["network"] == "F"
    y, x = top + (17 if second else 4), x_of(row["i32"])
    bar = f'<rect x="{LEFT}" y="{y}" width="{x - LEFT:.1f}" height="11" fill="{COLORS[row["network"]]}"/>'
    wanted = goal(row["network"], row["target"], "speed")
    mark = "" if wanted is None else _vertical(x_of(wanted), y - 1, y + 12, "#111", 2)
    return [bar, mark, _text(max(x, x_of(wanted or row["i32"])) + 6, y + 10, f"{row['i32']:.2f}")]


def _axis(bottom: float) -> list[str]:
    lines = [_vertical(x_of(tick), TOP, bottom, "#ddd") for tick in TICKS]
    lines += [_text(x_of(tick), bottom + 16, f"{tick:g}", "middle") for tick in TICKS]
    int8 = _vertical(x_of(CMSIS_NN_I32), TOP, bottom, "#c53030", 2)
    return [*lines, int8, _text(x_of(CMSIS_NN_I32) + 4, TOP + 12, f"int8 {CMSIS_NN_I32}")]


def _legend() -> list[str]:
    parts = [_text(12, 18, "Instructions per 32 binary multiply-accumulates, --optimize speed (fewer is better)")]
    for i, (network, name) in enumerate(NAMES.items()):
        x = 12 + 260 * i
        box = f'<rect x="{x}" y="30" width="11" height="11" fill="{COLORS[network]}"/>'
        parts.append(box + _text(x + 17, 40, name))
    return [*parts, _vertical(440, 29, 42, "#111", 2) + _text(448, 40, "goal; red: CMSIS-NN, int8, on a Cortex-M4")]


def _vertical(x: float, top: float, bottom: float, color: str, width: int = 1) -> str:
    return f'<path d="M{x:.1f} {top}V{bottom}" stroke="{color}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}">{text}</text>'
