"""Tensors with few values: quantise them to packed level codes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bnn2c.analysis.piecewise import real_steps
from bnn2c.analysis.steps import Array, Steps, classes_of
from bnn2c.expr import Arg, Expr, apply, const, evaluate, remap_consts, substitute
from bnn2c.expr.affine import slope
from bnn2c.ir import Node
from bnn2c.lowering.state import Lazy, Pool, State
from bnn2c.ops.quantize import Quantize

MAX_LEVELS = 16
TOLERANCE = 1e-6
LEAST = 2.0**-32  # of the largest level: less is no rounding of a zero


@dataclass(frozen=True)
class Even:
    """Equally spaced levels: code k of channel c is `unit * (tops[c] - step * k)`.

    Attributes:
        unit: a positive real.
        tops: float64 [1 or C], whole numbers where the levels are multiples of `unit`.
        step: 1 or 2.
    """

    unit: float
    tops: Array
    step: int


def comparable(values: Array) -> bool:
    """Whether all numbers are finite, and those that are not 0 have similar sizes.

    If not, as 1e30 and -1, the small one is lost in multiples of a unit, even in sums that have no large one.
    """
    sizes = np.abs(values[values != 0])
    return not sizes.size or bool(np.isfinite(sizes).all() and sizes.min() >= LEAST * sizes.max())


def nearly_whole(numbers: Array) -> Array:
    """The numbers, those within float32 rounding of an integer replaced by it."""
    whole = np.rint(numbers)
    near = np.abs(numbers - whole) <= TOLERANCE * np.maximum(1.0, np.abs(numbers))
    return np.where(near, whole, numbers)


@dataclass(frozen=True)
class Levels:
    """A tensor stored as level codes.

    Attributes:
        code: the packed value.
        values: float64 [1 or C, L]: real value of each code, descending.
    """

    code: str
    values: Array

    @property
    def even(self) -> Even | None:
        """The levels as multiples of a unit when neighbours have the same distance everywhere, else None.

        They are float32 numbers, so 0.3, 0.2, 0.1 are multiples of 0.1 up to rounding only. Taken as exact multiples, a
        sum of products that is 0 in real arithmetic is exactly 0 here.
        """
        if not comparable(self.values):
            return None
        gaps = -np.diff(self.values, axis=1)
        spacing = float(gaps.mean())
        if not 0 < spacing < np.inf or not np.allclose(gaps, spacing, rtol=1e-5, atol=0):
            return None
        for step in (1, 2):
            tops = nearly_whole(self.values[:, 0] * step / spacing)
            if (tops == np.rint(tops)).all():
                return Even(spacing / step, tops, step)
        return Even(spacing, self.values[:, 0] / spacing, 1)

    @property
    def planes(self) -> int:
        """Bits per code."""
        return max(1, int(self.values.shape[1] - 1).bit_length())


def find_levels(state: State, lazy: Lazy, node: Node) -> Levels | None:
    """Quantise the tensor if it takes at most MAX_LEVELS values; the codes are computed once per tensor."""
    steps = pooled_steps(state, state.pools[lazy.root], lazy) if lazy.root in state.pools else state.steps(lazy)
    if steps is None and lazy.root in state.pools and not lazy.bare:
        lazy, steps = _behind_pool(state, lazy)
    if steps is None:
        return None
    table = level_table(steps)
    if table is None:
        return None
    values, codes = table
    name = state.once(("code", lazy.root, lazy.expr), lambda: _emit_codes(state, lazy, steps, codes, values, node))
    state.domains[name] = np.arange(values.shape[1])
    return Levels(name, values)


def _behind_pool(state: State, lazy: Lazy) -> tuple[Lazy, Steps | None]:
    """The tensor as a step function of the pooled real tensor, which is then computed."""
    steps = real_steps(lazy.expr, lazy.shape)
    if steps is None:
        return lazy, None
    settled = replace(lazy, root=state.pool_value(lazy.root))
    return settled, steps


def level_table(steps: Steps) -> tuple[Array, Array] | None:
    """Level values [1 or C, L] (descending) and codes [rows, cols, C, m + 1], or None when there are too many."""
    flat = np.unique(steps.values)[::-1].astype(np.float64)
    if len(flat) <= MAX_LEVELS:
        if len(flat) == 1:
            flat = np.array([flat[0], flat[0] - _unit(flat[0])])
        codes = len(flat) - 1 - np.searchsorted(flat[::-1], steps.values)
        return flat[None], codes.astype(np.uint8)
    return _per_channel(steps)


def _unit(value: float) -> float:
    """Distance to a level that never occurs: next to 1.0 a value of 1e-45 would count as 0."""
    return abs(value) if 0 < abs(value) < 1e30 else 1.0


def _per_channel(steps: Steps) -> tuple[Array, Array] | None:
    """Levels that differ between channels: equally many in all, at least two, ranked within each."""
    channels = steps.values.shape[2]
    sets = [np.unique(steps.values[:, :, c])[::-1] for c in range(channels)]
    count = max(2, *map(len, sets))
    if count > MAX_LEVELS:
        return None
    values = np.zeros((channels, count))
    codes = np.zeros(steps.values.shape, np.uint8)
    gap = min((float(s[0] - s[1]) for s in sets if len(s) > 1), default=1.0)
    for c, found in enumerate(sets):
        values[c] = np.concatenate([found, found[-1] - gap * np.arange(1, count - len(found) + 1)])
        codes[:, :, c] = len(found) - 1 - np.searchsorted(found[::-1], steps.values[:, :, c])
    return values, codes


def _emit_codes(state: State, lazy: Lazy, steps: Steps, codes: Array, values: Array, node: Node) -> str:
    """Reuse the root when it already is these codes, else emit the quantiser (and the pool deferred before it)."""
    pool = state.pools.get(lazy.root)
    root = pool.inner.root if pool else lazy.root
    if pool is None and _is_identity(state, root, steps, codes):
        return root
    chain = (pool.inner.origin if pool else ()) + lazy.origin
    origin = chain or state.origin_of(lazy, node)
    record(state, steps, replace(node, origin=origin), values)
    planes = max(1, int(values.shape[1] - 1).bit_length())
    op = Quantize(steps.breaks, codes, steps.classes.rows, steps.classes.cols, planes, root in state.domains)
    if steps.breaks.shape[-1] == 0:
        op = replace(op, breaks=np.full((*steps.breaks.shape[:3], 1), np.inf), codes=np.repeat(codes, 2, axis=-1))
    name = state.builder.emit(op, [root], f"{node.output}_code", origin, _reasons(state, root, values))
    if pool is None:
        return name
    mask = pool_mask(codes, directions(state, pool.inner))
    return state.builder.emit(replace(pool.op, largest_code=mask), [name], f"{pool.node.output}_code", pool.node.origin)


def _is_identity(state: State, root: str, steps: Steps, codes: Array) -> bool:
    kind = state.builder.types[root]
    if kind.storage != "bits" or steps.breaks.shape[-1] + 1 != len(state.domains[root]):
        return False
    count = codes.shape[-1]
    return bool((codes == np.arange(count)).all() and (steps.breaks == np.arange(1, count)).all())


def record(state: State, steps: Steps, node: Node, values: Array) -> None:
    """Count what was evaluated and warn about rounding and constant channels."""
    constant = np.flatnonzero((steps.values == steps.values[..., :1]).all(axis=(0, 1, 3))).tolist()
    three_valued = values.shape == (1, 3) and np.array_equal(values[0], [1, 0, -1])
    state.statistics.evaluated += steps.evaluated
    state.statistics.sensitive += steps.sensitive
    facts = {
        "evaluated_pairs": steps.evaluated,
        "rounding_pairs": steps.sensitive,
        "rounding": [{"channel": channel, "value": value} for channel, value in steps.rounding],
        "dead_channels": constant,
        "sign_zero": three_valued,
    }
    state.statistics.rows.append({"layer": node.origin[-1] if node.origin else node.output, **facts})
    if constant:
        state.warn("BNN015", f"constant channels: {len(constant)} of {steps.values.shape[2]}", node)
    if steps.sensitive:
        state.warn("BNN013", f"float32 rounding decides {steps.sensitive} of {steps.evaluated} reachable values", node)
    if three_valued:
        hint = "--sign-zero=+1 or -1 says what training meant and halves the work"
        state.warn("BNN017", "sign(0) = 0 can occur: kept three-valued, exactly as ONNX defines it", node, hint=hint)


def _reasons(state: State, root: str, values: Array) -> list[str]:
    kind = state.builder.types[root]
    domain = state.domains.get(root)
    source = f"{len(domain)} integer values" if domain is not None else "float32 numbers, thresholds found by bisection"
    shown = ", ".join(f"{v:g}" for v in values[0])
    return [f"root {root} ({kind}) takes {source}", f"the chain maps them to {values.shape[1]} levels: {shown}"]


def decode(levels: Levels) -> Expr:
    """Real value of the codes: a chain of selections, exact level values."""
    columns = [const(np.asarray(v, np.float32).reshape(1, 1, -1)) for v in levels.values.T]
    found: Expr = columns[-1]
    for code in range(len(columns) - 2, -1, -1):
        found = apply("where", apply("lt", Arg(0), const(code + 0.5)), columns[code], found)
    return found


def lazy_levels(state: State, levels: Levels) -> Lazy:
    """The coded tensor as a lazy real tensor."""
    return Lazy(levels.code, decode(levels), state.builder.types[levels.code].shape)


def pooled_steps(state: State, pool: Pool, lazy: Lazy) -> Steps | None:
    """A function of a pooled tensor, moved in front of the pool when that is exact.

    `g(max f(x)) = max g(f(x))` for increasing g and `min g(f(x))` for decreasing g; both are pools of codes. g is
    monotone where `g o f` and `f` both are monotone in the root. g has to be the same at all positions of the pooled
    tensor, for the elements of a window lie elsewhere.
    """
    classes = classes_of(lazy.expr, lazy.shape)
    if classes.shape[:2] != (1, 1):
        return None
    whole = Lazy(pool.inner.root, substitute(classes.restrict(lazy.expr), [pool.inner.expr]), pool.inner.shape)
    way = directions(state, pool.inner)
    steps = state.steps(whole)
    if way is None or steps is None or steps.classes.shape[:2] != (1, 1) and not _same_way(steps):
        return None
    return steps if _monotone(steps.values).all() else None


def _same_way(steps: Steps) -> bool:
    rising, falling = _ways(steps.values)
    return bool((rising.all(axis=(0, 1)) | falling.all(axis=(0, 1))).all())


def _monotone(values: Array) -> Array:
    rising, falling = _ways(values)
    return rising | falling


def _ways(values: Array) -> tuple[Array, Array]:
    """Whether numbers never fall, and whether they never rise, along the last axis; infinite ones are numbers."""
    before, after = values[..., :-1], values[..., 1:]
    return np.asarray((after >= before).all(axis=-1)), np.asarray((after <= before).all(axis=-1))


def directions(state: State, lazy: Lazy) -> Array | None:
    """+1 / -1 per channel where the tensor is monotone in its root, None when some channel is not."""
    if lazy.bare:
        return np.ones(lazy.shape[2], np.int64)
    domain = state.domains.get(lazy.root)
    if domain is not None:
        return monotone_directions(lazy, domain)
    factor = slope(lazy.expr)
    if factor is None or factor.shape[:2] != (1, 1) or (factor == 0).any():
        return None
    return np.broadcast_to(np.sign(factor[0, 0]).astype(np.int64), (lazy.shape[2],))


def monotone_directions(lazy: Lazy, domain: Array) -> Array | None:
    """Direction of each channel on a finite domain, by evaluation."""
    small = classes_of(lazy.expr, lazy.shape).restrict(lazy.expr)
    lifted = remap_consts(small, lambda v: v[..., None])
    table = np.asarray(evaluate(lifted, [domain.astype(np.float32)[None, None, None]]))
    table = np.broadcast_to(table, (*np.broadcast_shapes(table.shape[:3], (1, 1, lazy.shape[2])), len(domain)))
    rising, falling = (way.all(axis=(0, 1)) for way in _ways(table))
    return np.where(rising, 1, -1) if bool((rising | falling).all()) else None


def pool_mask(codes: Array, way: Array | None) -> Array:
    """Channels in which the *largest* code must win: the code rises (the value falls) while the pooled tensor rises."""
    assert way is not None
    change = np.diff(codes.astype(np.int64), axis=-1)
    code_rises = (change >= 0).all(axis=(0, 1, 3)) & (change > 0).any(axis=(0, 1, 3))
    code_falls = (change <= 0).all(axis=(0, 1, 3)) & (change < 0).any(axis=(0, 1, 3))
    return np.where(way > 0, code_rises, code_falls)
