"""Collects the facts of one compilation into the data of report.json (schema 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bnn2c.errors import Diagnostic
from bnn2c.report.document import Limits, Measured, Report
from bnn2c.report.units import bytes_text

__all__ = ["build_report"]

Json = dict[str, Any]

# Code size without a build: what the runtime's kernels take on a Cortex-M4 with -O2; right within a third.
_CODE_BYTES = {"class_sharing": 14_000, "sliced_channels": 1_600, "sliced_planes": 1_200, "integer_conv2d": 900}
_CODE_BYTES |= {"paired_conv2d": 1_300, "channel_steps": 3_200, "class_groups": 14_000, "few_pixels": 16_000}
_CODE_BYTES_PER_KERNEL = 420
_CODE_BYTES_PER_LAYER = 48

_HEAD = ("prefix", "model_sha256", "target", "inputs", "outputs")
_LAYER_COUNTS = ("binary_macs", "real_macs", "weight_bytes")


def build_report(
    manifest: Mapping[str, Any],
    report_data: Mapping[str, Any],
    measured: Measured | None = None,
    limits: Limits | None = None,
) -> Report:
    """Make the report.

    Args:
        manifest: `Compiled.manifest`: sizes and layers.
        report_data: `Compiled.report_data`: facts per layer, warnings, memory map.
        measured: sizes from a build; without them the code size is an estimate and said to be one.
        limits: room of the device; without them there is no verdict.

    Returns:
        the report, whose data has the same content for the same arguments.
    """
    layers = _layers(manifest.get("layers", []), report_data.get("layers", {}))
    sizes = _sizes(manifest, report_data, layers, measured)
    warnings = [_warning(warning) for warning in report_data.get("warnings", [])]
    data: Json = {"schema": 1, **{key: manifest[key] for key in _HEAD if key in manifest}}
    data |= {"verdict": _verdict(sizes, limits or Limits()), "sizes": sizes}
    data |= {"totals": {key: sum(layer[key] for layer in layers) for key in _LAYER_COUNTS}, "layers": layers}
    data |= {"exactness": _exactness(layers), "memory": [dict(buffer) for buffer in report_data.get("memory", [])]}
    data |= {"fixed_point": manifest["fixed_point"]} if "fixed_point" in manifest else {}
    return Report({**data, "warnings": warnings})


def _layers(layers: Sequence[Mapping[str, Any]], facts: Mapping[int, Json] | Sequence[Json]) -> list[Json]:
    """The manifest's layers, each with its facts; `facts` is by layer index, or in layer order."""
    by_index = facts if isinstance(facts, Mapping) else dict(enumerate(facts))
    return [_layer(layer, by_index.get(layer["index"], {})) for layer in layers]


def _layer(layer: Mapping[str, Any], facts: Mapping[str, Any]) -> Json:
    counts = {key: int(layer.get(key) or 0) for key in _LAYER_COUNTS}
    lists = {key: list(facts.get(key, [])) for key in ("why", "rounding", "dead_channels", "kernels")}
    return {
        **layer,
        **counts,
        "evaluated_pairs": int(facts.get("evaluated_pairs", 0)),
        "rounding_pairs": int(facts.get("rounding_pairs", len(lists["rounding"]))),
        "sign_zero": bool(facts.get("sign_zero", False)),
        "sums_reals": bool(facts.get("sums_reals", False)),
        **lists,
    }


def _sizes(
    manifest: Mapping[str, Any], report_data: Mapping[str, Any], layers: Sequence[Json], measured: Measured | None
) -> Json:
    code = measured.code_bytes if measured else int(report_data.get("code_bytes") or _code_estimate(layers))
    constants = measured.constant_bytes if measured else int(manifest.get("weights_bytes", 0))
    static_ram = measured.static_ram_bytes if measured else 0
    arena, stack = int(manifest.get("arena_bytes", 0)), int(manifest.get("stack_bytes", 0))
    ports = manifest.get("stream") or manifest.get("state") or manifest  # a firmware that steps has no whole window
    buffers = sum(int(io.get("bytes", 0)) for key in ("inputs", "outputs") for io in ports.get(key, []))
    return {
        "flash_bytes": code + constants + static_ram,
        "constant_bytes": constants,
        "code_bytes": code,
        "code_measured": measured is not None,
        "compiler": measured.compiler if measured else "",
        "ram_bytes": arena + stack + buffers + static_ram,
        "arena_bytes": arena,
        "stack_bytes": stack,
        "io_bytes": buffers,
        "static_ram_bytes": static_ram,
    }


def _code_estimate(layers: Sequence[Json]) -> int:
    kernels = {layer.get("kernel") or layer.get("op") for layer in layers}
    kernel_bytes = sum(_CODE_BYTES.get(str(name), _CODE_BYTES_PER_KERNEL) for name in kernels)
    return kernel_bytes + _CODE_BYTES_PER_LAYER * len(layers)


def _verdict(sizes: Json, limits: Limits) -> Json:
    """Compare with the limits; `fits` is None when there are none."""
    rows = (("flash", sizes["flash_bytes"], limits.flash_bytes), ("RAM", sizes["ram_bytes"], limits.ram_bytes))
    over = [
        f"{name} is {bytes_text(need - room)} too small"
        for name, need, room in rows
        if room is not None and need > room
    ]
    limited = any(room is not None for _, _, room in rows)
    fits = not over if limited else None
    about = "" if sizes["code_measured"] else "about "
    need = f"{about}{bytes_text(sizes['flash_bytes'])} of flash and {bytes_text(sizes['ram_bytes'])} of RAM"
    text = {None: f"Needs {need}.", True: f"Fits: needs {need}.", False: f"Does not fit: {', '.join(over)}."}[fits]
    return {"fits": fits, "text": text, "flash_limit": limits.flash_bytes, "ram_limit": limits.ram_bytes}


def _exactness(layers: Sequence[Json]) -> Json:
    return {
        "evaluated_pairs": sum(layer["evaluated_pairs"] for layer in layers),
        "rounding_pairs": sum(layer["rounding_pairs"] for layer in layers),
        "rounding": [{"layer": layer["name"], **pair} for layer in layers for pair in layer["rounding"]],
        "dead_channels": sum(len(layer["dead_channels"]) for layer in layers),
        "sign_zero": [layer["name"] for layer in layers if layer["sign_zero"]],
        "real_layers": [layer["name"] for layer in layers if layer["sums_reals"]],
    }


def _warning(warning: Diagnostic | Mapping[str, str]) -> Json:
    return warning.as_dict() if isinstance(warning, Diagnostic) else dict(warning)
