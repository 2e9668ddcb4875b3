"""The first of several forms of a network that a device has room for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bnn2c.ir import Graph
from bnn2c.options import Options
from bnn2c.report import Limits, build_report

if TYPE_CHECKING:
    from bnn2c.pipeline import Compiled

__all__ = ["first_that_fits"]


def first_that_fits(drafts: Iterable[tuple[Graph, Compiled]], options: Options) -> tuple[Graph, Compiled]:
    """The first draft within `max_flash` and `max_ram`, else the last, which is the smallest.

    Code size is the report's estimate, so that the choice is the same on every machine, with or without a compiler.
    """
    limits = Limits(options.max_flash, options.max_ram)
    for draft in drafts:
        if build_report(draft[1].manifest, draft[1].report_data, limits=limits).fits is not False:
            break
    return draft
