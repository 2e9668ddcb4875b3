"""report.txt: the verdict first, then what it rests on; at most 120 columns unless names are longer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bnn2c.errors import plural
from bnn2c.report.units import bytes_text, count_text

__all__ = ["LAYER_HEADER", "exactness_lines", "layer_rows", "render_text", "shape_text", "total_row"]

Json = dict[str, Any]

LAYER_HEADER = ("#", "layer", "op", "kernel", "output", "binary MACs", "real MACs", "weights")

_LISTED = 20
_LEFT_COLUMNS = 5


def render_text(data: Json) -> str:
    """Lay out the data of a report.

    Args:
        data: `Report.data`.

    Returns:
        the text, ending with a line break.
    """
    parts = [_head(data), _sizes(data), _table(LAYER_HEADER, [*layer_rows(data), total_row(data)])]
    parts.append(["Exactness", *(f"  {line}" for line in exactness_lines(data)), *_rounding(data)])
    parts += [_fixed_point(data["fixed_point"])] if "fixed_point" in data else []
    parts.extend(_warning(warning) for warning in data["warnings"])
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _fixed_point(found: Json) -> list[str]:
    """Agreement with float32, then format and signal-to-noise ratio of every real tensor."""
    head = (
        f"Fixed point {found['real']}: {found['agreement']:.2%} of {plural(found['samples'], 'calibration sample')} "
        f"give the answer of float32 (scales: {found['method']})"
    )
    rows: list[tuple[str, ...]] = [
        (one["layer"], one["value"], one["storage"], f"{one['scale']:.6g}", _decibel(one["snr_db"]))
        for one in found["values"]
    ]
    return [head, *_table(("layer", "tensor", "type", "scale", "SNR dB"), rows)]


def _decibel(value: float | None) -> str:
    return "exact" if value is None else f"{value:.1f}"


def shape_text(shape: Sequence[int]) -> str:
    """``28x28x1``; a scalar is ``1``."""
    return "x".join(map(str, shape)) or "1"


def layer_rows(data: Json) -> list[tuple[str, ...]]:
    """One row of text per layer, in the columns of `LAYER_HEADER`."""
    return [_row(layer) for layer in data["layers"]]


def exactness_lines(data: Json) -> Iterator[str]:
    """Sentences that say what equality with the ONNX model rests on."""
    exactness = data["exactness"]
    pairs, rounding = exactness["evaluated_pairs"], exactness["rounding_pairs"]
    yield f"{plural(pairs, '(channel, value) pair')} evaluated in the reference's own arithmetic give the thresholds."
    if rounding:
        yield f"{plural(rounding, 'pair')} where float32 and float64 disagree: float32 decides (listed below)."
    else:
        yield "No reachable value is decided by rounding."
    if exactness["sign_zero"]:
        yield f"sign(0) is kept three-valued in {', '.join(exactness['sign_zero'])}; --sign-zero makes it binary."
    if exactness["dead_channels"]:
        yield f"{plural(exactness['dead_channels'], 'dead channel')}: the same value for every input."
    if exactness["real_layers"]:
        yield f"Real-valued layers, float32, sums may be reordered: {', '.join(exactness['real_layers'])}."
    else:
        yield "No layer sums float32 numbers: binary and integer values, argmax included, are bit-exact everywhere."


def _head(data: Json) -> list[str]:
    title = f"{data.get('prefix', 'model')} for {data.get('target', 'portable')}"
    return [data["verdict"]["text"], f"{title} - model sha256 {data.get('model_sha256', 'unknown')[:16]}"]


def _sizes(data: Json) -> list[str]:
    sizes, verdict = data["sizes"], data["verdict"]
    how = f"measured, {sizes['compiler']}" if sizes["code_measured"] else "an estimate; `bnn2c check` measures it"
    rows = [
        ("flash", sizes["flash_bytes"], _limit(verdict["flash_limit"])),
        ("  constants", sizes["constant_bytes"], ""),
        ("  code", sizes["code_bytes"], how),
        ("RAM", sizes["ram_bytes"], _limit(verdict["ram_limit"])),
        ("  arena", sizes["arena_bytes"], ""),
        ("  stack", sizes["stack_bytes"], "upper bound"),
        ("  input, output", sizes["io_bytes"], "the caller's structs"),
    ]
    return [f"{name:<16}{count:>12,} B  {bytes_text(count):>10}  {note}".rstrip() for name, count, note in rows]


def _limit(limit: int | None) -> str:
    return "" if limit is None else f"limit {limit:,} B"


def _row(layer: Json) -> tuple[str, ...]:
    shape = shape_text(layer.get("output_shape", []))
    macs = [count_text(layer[key]) if layer[key] else "-" for key in ("binary_macs", "real_macs")]
    weights = f"{layer['weight_bytes']:,} B" if layer["weight_bytes"] else "-"
    kernel = layer.get("kernel", "")
    names = (layer["name"], layer["op"], "" if kernel == layer["op"] else kernel)
    return (str(layer["index"]), *names, shape, *macs, weights)


def total_row(data: Json) -> tuple[str, ...]:
    """The sums under the rows of `layer_rows`."""
    totals = data["totals"]
    macs = [count_text(totals[key]) for key in ("binary_macs", "real_macs")]
    return ("", "total", "", "", "", *macs, f"{totals['weight_bytes']:,} B")


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Columns as wide as their longest cell; a rule under the header."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    rule = tuple("-" * width for width in widths)
    return [_aligned(row, widths) for row in (header, rule, *rows)]


def _aligned(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [
        f"{c:<{w}}" if i < _LEFT_COLUMNS else f"{c:>{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _rounding(data: Json) -> Iterator[str]:
    pairs = data["exactness"]["rounding"]
    for pair in pairs[:_LISTED]:
        where = f"{pair['layer']} channel {pair.get('channel')} value {pair.get('value')}"
        yield f"    {where} {pair.get('note', '')}".rstrip()
    if len(pairs) > _LISTED:
        yield f"    ... and {len(pairs) - _LISTED:,} more in report.json"


def _warning(warning: Json) -> list[str]:
    where = f" ({warning['node']})" if warning.get("node") else ""
    details = [f"  {warning[key]}" for key in ("why", "hint") if warning.get(key)]
    return [f"warning[{warning['code']}]{where}: {warning['message']}", *details]
