"""report.html: one self-contained page, light and dark, without scripts; laid out by templates/report.html.j2."""

from __future__ import annotations

from typing import Any

from bnn2c.errors import plural
from bnn2c.report.charts import mac_bars, memory_map, weight_bars
from bnn2c.report.text import exactness_lines, shape_text
from bnn2c.report.units import bytes_text, count_text

__all__ = ["render_html"]

_FILTERS = {"bytes": bytes_text, "count": count_text, "shape": shape_text}


def render_html(data: dict[str, Any]) -> str:
    """Lay out the data of a report as a page.

    Args:
        data: `Report.data`. Names in it come from the model and are escaped.

    Returns:
        the page.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from bnn2c.data import data_folder

    environment = Environment(
        loader=FileSystemLoader(data_folder("templates")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters.update(_FILTERS)
    environment.globals["plural"] = plural
    return environment.get_template("report.html.j2").render(data=data, **_charts(data))


def _charts(data: dict[str, Any]) -> dict[str, Any]:
    layers = data["layers"]
    return {
        "weights": weight_bars(layers),
        "macs": mac_bars(layers),
        "memory": memory_map(data["memory"], layers, data["sizes"]["arena_bytes"]),
        "exactness": list(exactness_lines(data)),
    }
