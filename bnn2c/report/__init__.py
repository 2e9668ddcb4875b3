"""What a compilation led to, for people and for machines: report.txt, report.json and report.html.

`build_report` collects the facts once into JSON-able data; the three writers only lay them out.
"""

from __future__ import annotations

from bnn2c.report.build import build_report
from bnn2c.report.document import Limits, Measured, Report

__all__ = ["Limits", "Measured", "Report", "build_report"]
