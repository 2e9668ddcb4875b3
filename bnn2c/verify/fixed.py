"""Fixed-point networks: bit-exact with their own reference, and how often they agree with the real one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bnn2c.fixed_point.answers import same_answers
from bnn2c.verify.rounding import Finding

if TYPE_CHECKING:
    from bnn2c.pipeline import Compiled
    from bnn2c.verify.bounded import Array

__all__ = ["compared_fixed"]


def compared_fixed(
    compiled: Compiled,
    inputs: Sequence[Sequence[Array]],
    got: Sequence[Sequence[Array]],
    expected: Sequence[Sequence[Array]],
) -> dict[str, Any]:
    """Compare fixed-point outputs.

    A mismatch is a sample whose integers are not those of the numpy reference of the integer graph. Against the real
    reference the numbers differ by design: `agreement` is the part of equal answers (argmax, or integer), and
    `max_abs_error` the largest distance of `scale * q`.

    Args:
        compiled: of the network.
        inputs: per sample, as the C takes them.
        got: per sample, what the C returned.
        expected: per sample, the real outputs.
    """
    ports = compiled.manifest["outputs"]
    wrong: list[dict[str, Any]] = []
    error = answers = 0.0
    for sample, (feeds, found, real) in enumerate(zip(inputs, got, expected, strict=True)):
        whole = compiled.reference(feeds)
        wrong += [
            Finding(False, "c", port["name"]).data(sample)
            for port, a, b in zip(ports, found, whole, strict=True)
            if not np.array_equal(np.asarray(a).ravel(), b.ravel())
        ]
        shaped = [np.asarray(r).reshape(np.shape(a)) for a, r in zip(found, real, strict=True)]
        answers += min(
            same_answers(compiled.final, port, r, np.asarray(a))
            for port, a, r in zip(compiled.final.outputs, found, shaped, strict=True)
        )
        error = max(error, *(_distance(p, a, r) for p, a, r in zip(ports, found, shaped, strict=True)))
    agreement = answers / max(1, len(expected))
    least = compiled.options.min_agreement
    return {
        "samples": len(expected),
        "mismatches": len({one["sample"] for one in wrong}),
        "rounding": 0,
        "max_abs_error": error,
        "first_difference": wrong[0] if wrong else None,
        "rounding_samples": [],
        "agreement": agreement,
        "agrees": least is None or agreement >= least,
    }


def _distance(port: dict[str, Any], found: Array, real: Array) -> float:
    """Largest difference in real numbers."""
    scale = port.get("scale") or 1.0
    return float(np.abs(np.asarray(found, np.float64) * scale - real.astype(np.float64)).max(initial=0.0))
