"""Equality of outputs: integers exactly, real numbers within 1e-5 of the output's range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn2c.verify.bounded import HALF_UNIT

__all__ = ["RELATIVE", "Tolerance", "tolerances"]

Array = npt.NDArray[Any]
RELATIVE = 1e-5
_SMALLEST_RANGE = 1e-6


@dataclass(frozen=True)
class Tolerance:
    """How far two values of one output may be apart.

    Attributes:
        name: the ONNX tensor.
        exact: integer or boolean: not at all.
        limit: absolute, for real numbers.
    """

    name: str
    exact: bool
    limit: float

    def differs(self, got: Array, reference: Array) -> Array:
        """Which elements differ, flat; equal infinities and two NaN are equal.

        A float16 reference was rounded to that type when it was stored, which is no difference.
        """
        a, b = (np.asarray(x).astype(np.float64).ravel() for x in (got, reference))
        with np.errstate(invalid="ignore", over="ignore"):
            near = a == b if self.exact else np.abs(a - b) <= self.limit
            if np.asarray(reference).dtype == np.float16:
                near |= np.abs(a - b) <= self.limit + HALF_UNIT * np.abs(b)
                near |= np.isinf(b) & (a.astype(np.float16) == b)
        return np.asarray(~(near | (a == b) | (np.isnan(a) & np.isnan(b))))

    def apart(self, got: Array, reference: Array) -> float:
        """Sum over the elements that differ of how much they do, in parts of the output's range, at most 1."""
        wrong = self.differs(got, reference)
        a, b = (np.asarray(x).astype(np.float64).ravel()[wrong] for x in (got, reference))
        with np.errstate(invalid="ignore", over="ignore"):
            gap = np.abs(a - b) * (RELATIVE / self.limit)
        return float((np.where(gap <= 1, gap, 1.0) ** 2).sum()) if not self.exact else float(len(a))

    def error(self, got: Array, reference: Array) -> float:
        """Largest absolute difference; infinite when one of the two is no number."""
        a, b = (np.asarray(x).astype(np.float64).ravel() for x in (got, reference))
        with np.errstate(invalid="ignore"):
            gap = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
        return float(np.where(np.isnan(gap), np.inf, gap).max(initial=0.0))


def tolerances(ports: Sequence[dict[str, Any]], reference: Sequence[Sequence[Array]]) -> list[Tolerance]:
    """One tolerance per output.

    The range is the larger of spread and magnitude of the reference over all samples, or the range of the function that
    ends the network where that is known (1 for probabilities).

    Args:
        ports: `manifest["outputs"]`.
        reference: per sample one array per output.
    """
    found = []
    for position, port in enumerate(ports):
        values = np.concatenate([np.asarray(row[position]).astype(np.float64).ravel() for row in reference])
        values = values[np.isfinite(values)]
        seen = float(max(np.abs(values).max(), np.ptp(values))) if values.size else 0.0
        extent = max(seen, float(port.get("range", 0.0)))
        found.append(Tolerance(port["name"], port["dtype"] != "float32", RELATIVE * max(extent, _SMALLEST_RANGE)))
    return found


def distance(got: Sequence[Array], reference: Sequence[Array], allowed: Sequence[Tolerance]) -> float:
    """How far all outputs of a sample are apart; 0 when no element differs.

    A real number that differs counts by how much, relative to its output's range and at most 1, any other one as 1:
    of decisions that are added up, each that is taken rightly brings the outputs nearer.
    """
    return sum(t.apart(a, b) for t, a, b in zip(allowed, got, reference, strict=True))


def close(got: Sequence[Array], reference: Sequence[Array], allowed: Sequence[Tolerance]) -> bool:
    """Whether all outputs of a sample agree."""
    return distance(got, reference, allowed) == 0
