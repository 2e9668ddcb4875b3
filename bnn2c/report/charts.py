"""Geometry of the charts of report.html: plain numbers, so that the template only writes elements.

Coordinates are SVG user units, y grows downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnn2c.report.units import bytes_text, count_text

__all__ = ["mac_bars", "memory_map", "shortened", "weight_bars"]

Json = dict[str, Any]

_WIDTH = 880.0
_ROW = 24.0
_LABEL = 210.0
_VALUE = 110.0
_MAP_HEIGHT = 260.0
_MAP_LEFT, _MAP_RIGHT, _MAP_TOP, _MAP_BOTTOM = 74.0, 10.0, 14.0, 34.0
_CHARACTER = 7.0
_TICKS = 4


def weight_bars(layers: Sequence[Json]) -> Json:
    """One bar per layer that has weights: bytes of flash."""
    rows = [(layer, [(_kind(layer), layer["weight_bytes"])]) for layer in layers if layer["weight_bytes"]]
    return _bars([(layer, parts, bytes_text(layer["weight_bytes"])) for layer, parts in rows])


def mac_bars(layers: Sequence[Json]) -> Json:
    """One bar per layer that multiplies: binary and real multiply-accumulate operations."""
    rows = []
    for layer in layers:
        parts = [("binary", layer["binary_macs"]), ("real", layer["real_macs"])]
        if total := sum(count for _, count in parts):
            rows.append((layer, parts, count_text(total)))
    return _bars(rows)


def memory_map(buffers: Sequence[Json], layers: Sequence[Json], arena_bytes: int) -> Json:
    """Buffers of the arena over time: x is the layer that runs, y the offset, offset 0 at the bottom.

    Args:
        buffers: dicts with name, offset, bytes, first and last (layer indices, both inclusive).
        layers: the layers, for their number and names.
        arena_bytes: height of the arena.

    Returns:
        dict with width, height, boxes, ticks (offsets), steps (layer labels) and the edges of the plot.
    """
    steps = max([len(layers), 1, *(buffer["last"] + 1 for buffer in buffers)])
    step_width = (_WIDTH - _MAP_LEFT - _MAP_RIGHT) / steps
    scale = _MAP_HEIGHT / max(arena_bytes, 1)
    bottom = _MAP_TOP + _MAP_HEIGHT
    return {
        "width": _WIDTH,
        "height": bottom + _MAP_BOTTOM,
        "left": _MAP_LEFT,
        "right": _WIDTH - _MAP_RIGHT,
        "top": _MAP_TOP,
        "bottom": bottom,
        "boxes": [_box(i, buffer, step_width, scale, bottom) for i, buffer in enumerate(buffers)],
        "ticks": _ticks(arena_bytes, scale, bottom),
        "steps": _steps(layers, step_width),
    }


def _kind(layer: Json) -> str:
    """What the constants of a layer are: its weights, or those of elementwise arithmetic."""
    if layer["real_macs"]:
        return "real"
    return "binary" if layer["binary_macs"] else "other"


def _bars(rows: Sequence[tuple[Json, list[tuple[str, int]], str]]) -> Json:
    """Horizontal stacked bars on one common scale."""
    longest = max((sum(count for _, count in parts) for _, parts, _ in rows), default=1)
    scale = (_WIDTH - _LABEL - _VALUE) / longest
    bars = [_bar(i * _ROW, layer["name"], parts, value, scale) for i, (layer, parts, value) in enumerate(rows)]
    return {"width": _WIDTH, "height": len(rows) * _ROW, "label_x": _LABEL - 12, "bars": bars}


def _bar(y: float, name: str, parts: Sequence[tuple[str, int]], value: str, scale: float) -> Json:
    segments, x = [], _LABEL
    for kind, count in parts:
        width = round(count * scale, 1)
        if width:
            segments.append({"kind": kind, "x": round(x, 1), "width": max(width, 1.5)})
        x += width
    return {
        "y": y,
        "name": shortened(name, _LABEL - 16),
        "full": name,
        "value": value,
        "end": round(x, 1),
        "segments": segments,
    }


def _box(index: int, buffer: Json, step_width: float, scale: float, bottom: float) -> Json:
    width = (buffer["last"] - buffer["first"] + 1) * step_width - 2
    height = max(buffer["bytes"] * scale - 1, 1.0)
    label = shortened(buffer["name"], width - 10) if height >= 15 else ""
    return {
        "x": round(_MAP_LEFT + buffer["first"] * step_width + 1, 1),
        "y": round(bottom - (buffer["offset"] + buffer["bytes"]) * scale, 1),
        "width": round(max(width, 1.0), 1),
        "height": round(height, 1),
        "label": label,
        "title": f"{buffer['name']}: {buffer['bytes']:,} bytes at offset {buffer['offset']:,}",
        "shade": index % 4,
    }


def _ticks(arena_bytes: int, scale: float, bottom: float) -> list[Json]:
    offsets = sorted({arena_bytes * i // _TICKS for i in range(_TICKS + 1)})
    return [{"y": round(bottom - offset * scale, 1), "text": bytes_text(offset)} for offset in offsets]


def _steps(layers: Sequence[Json], step_width: float) -> list[Json]:
    """Labels under the plot: every n-th layer, so that they do not touch; names when there is room."""
    every = max(1, -(-30 // max(int(step_width), 1)))
    chosen = [(i, layer) for i, layer in enumerate(layers) if i % every == 0]
    centre = _MAP_LEFT + step_width / 2
    return [
        {
            "x": round(centre + i * step_width, 1),
            "text": shortened(layer["name"], step_width - 6) or str(layer["index"]),
        }
        for i, layer in chosen
    ]


def shortened(name: str, width: float) -> str:
    """The end of `name` that fits into `width` at the charts' type size; empty when under four characters would.

    The end is kept because ONNX names differ there.
    """
    room = int(width / _CHARACTER)
    if len(name) <= room:
        return name
    return "…" + name[1 - room :] if room >= 4 else ""
