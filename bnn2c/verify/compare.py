"""Equality of outputs: integers exactly, real numbers within 1e-5 of the output's range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn2c.verify.bounded import HALF_UNIT

__all__ = ["RELATIVE", "Target", "Tolerance", "close", "tolerances"]

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

    def apart(self, got: Array, reference: Array) -> Array:
        """By how much each element differs, flat float64: real numbers in parts of the output's range, others by 1."""
        wrong = self.differs(got, reference)
        a, b = (np.asarray(x).astype(np.float64).ravel() for x in (got, reference))
        with np.errstate(invalid="ignore", over="ignore"):
            gap = np.where(wrong, 1.0, 0.0) if self.exact else (a - b) * (RELATIVE / self.limit)
        return np.where(wrong, np.nan_to_num(gap, nan=1.0, posinf=1.0, neginf=-1.0), 0.0)

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


@dataclass(frozen=True)
class Target:
    """Outputs of a sample that others are compared with.

    Attributes:
        outputs: one array per output.
        allowed: a tolerance for each.
    """

    outputs: Sequence[Array]
    allowed: Sequence[Tolerance]

    def apart(self, got: Sequence[Array]) -> Array:
        """By how much each element of all outputs differs, flat float64 (`Tolerance.apart`)."""
        return np.concatenate([t.apart(a, b) for t, a, b in zip(self.allowed, got, self.outputs, strict=True)])


def close(got: Sequence[Array], reference: Sequence[Array], allowed: Sequence[Tolerance]) -> bool:
    """Whether all outputs of a sample agree."""
    return not any(t.differs(a, b).any() for t, a, b in zip(allowed, got, reference, strict=True))
