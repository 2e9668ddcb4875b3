"""One number format for all steps of a loop.

The steps of a recurrent network become one loop only if they are the same operations, so what calibration saw is joined
over the values, and over the sub-expressions, that become one value of the loop's body.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn2c.analysis.repetition import fingerprint
from bnn2c.expr import Expr
from bnn2c.expr.tree import fold
from bnn2c.fixed_point.calibrate import Calibration, Spread
from bnn2c.ir import Graph
from bnn2c.ops.map import Map


def join_steps(graph: Graph, calibration: Calibration, alike: Sequence[set[str]]) -> None:
    """Give all members of each set of `alike` the same ranges.

    Args:
        graph: what was calibrated.
        calibration: changed in place.
        alike: values that must have equal formats.
    """
    expressions = {node.output: node.op.expr for node in graph.nodes if isinstance(node.op, Map)}
    for values in alike:
        names = sorted(values)
        _join_values(calibration, names)
        equal: dict[bytes, list[list[Expr]]] = {}
        for expr in (expressions[name] for name in names if name in expressions):
            equal.setdefault(fingerprint(expr), []).append(_parts(expr))
        for parts in equal.values():
            for same in zip(*parts, strict=True):
                _join_parts(calibration, same)


def joined(spreads: Sequence[Spread]) -> Spread:
    """What several tensors held together."""
    known = [s for s in spreads if s.count]
    if not known:
        return Spread(0.0, 0.0)
    alike = len({s.mean.shape for s in known}) == 1
    with np.errstate(over="ignore"):  # means may be the largest numbers there are
        mean = np.nan_to_num(np.mean([s.mean for s in known], axis=0)) if alike else np.zeros(1)
    kept = [k for s in known for k in s.kept]
    return Spread(min(s.low for s in known), max(s.high for s in known), np.asarray(mean), 1, kept)


def _join_values(calibration: Calibration, names: Sequence[str]) -> None:
    real = [name for name in names if name in calibration.spreads]
    calibration.spreads |= dict.fromkeys(real, joined([calibration.spreads[name] for name in real]))
    whole = [name for name in names if name in calibration.integers]
    if whole:
        bounds = [calibration.integers[name] for name in whole]
        calibration.integers |= dict.fromkeys(whole, (min(b[0] for b in bounds), max(b[1] for b in bounds)))


def _join_parts(calibration: Calibration, parts: Sequence[Expr]) -> None:
    ranges = [calibration.ranges[part] for part in parts if part in calibration.ranges]
    if ranges:
        wide = min(r[0] for r in ranges), max(r[1] for r in ranges)
        calibration.ranges |= dict.fromkeys(parts, wide)


def _parts(expr: Expr) -> list[Expr]:
    """All sub-expressions, in an order that equal expressions share."""
    found: list[Expr] = []
    fold(expr, found.append, lambda e, _: found.append(e))
    return found
