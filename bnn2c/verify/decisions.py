"""Discontinuous steps of a network and who decides them: the oracle itself, the reference, or a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from bnn2c.verify.bounded import Array

__all__ = ["Decider", "Flip", "Flips", "Follow", "Record", "Step"]

_MOST_TIES = 256
_NEAR = 4


@dataclass(frozen=True)
class Step:
    """One discontinuous operation on a whole tensor.

    Attributes:
        site: where: the value's name in the graph, and the number of the function within its expression.
        value: what the oracle's numbers give.
        low: the least result that numbers within the error bound give; `high`: the greatest.
        able: for indices of a maximum, which are possible, bool [*shape of `value`, indices]; None: every whole number
            between the two ends is (a sign of 0).
        tie: the result when numbers that are next to a tie, closer than the bound allows, are meant to be on it; None:
            `value`.
    """

    site: str
    value: Array
    low: Array
    high: Array
    able: Array | None = None
    tie: Array | None = None

    @property
    def undecided(self) -> Array:
        """Elements that another execution may decide in another way."""
        return np.asarray(self.low < self.high)

    def allows(self, results: Array) -> Array:
        """Which of the results [shape of `value`, whole numbers or NaN] numbers within the bound may give."""
        within = (results >= self.low) & (results <= self.high)
        if self.able is None:
            return np.asarray(within)
        index = np.where(within, results, self.value).astype(np.int64)
        return np.asarray(within & np.take_along_axis(self.able, index[..., None], axis=-1)[..., 0])

    def others(self, position: int, now: float) -> list[float]:
        """The possible results of one element (flat position) besides `now`; of a wide range only the ends."""
        if self.able is not None:
            possible: Sequence[float] = np.nonzero(self.able.reshape(self.value.size, -1)[position])[0].tolist()
        else:
            low, high = float(self.low.flat[position]), float(self.high.flat[position])
            possible = [low + k for k in range(int(high - low) + 1)] if high - low <= _NEAR else (low, high)
        return [float(other) for other in possible if other != now]


class Decider(Protocol):
    """Chooses the results of a step."""

    def __call__(self, step: Step) -> tuple[Array, Array | None]:
        """The results to go on with, and which elements are undecided (None: none)."""
        ...


@dataclass(frozen=True)
class Flip:
    """One element decided in another way than the oracle's numbers say."""

    site: str
    position: int
    value: float


@dataclass
class Flips:
    """Decides as the oracle, but for the given elements; collects the elements that could be decided in another way.

    Attributes:
        chosen: flips to carry out; their order has no meaning.
        level: take numbers next to a tie for numbers on it, as exact arithmetic would (sums that cancel).
        wanted: site -> results to adopt wherever they are possible, flat, NaN where unknown.
        followed: the flips that this made.
        ties: possible further flips, in order of execution; at most 256.
        void: a chosen flip lies outside of the error bound (another one moved its operands), so it was not carried out.
    """

    chosen: tuple[Flip, ...] = ()
    level: bool = False
    wanted: Mapping[str, Array] = field(default_factory=dict)
    followed: list[Flip] = field(default_factory=list)
    ties: list[Flip] = field(default_factory=list)
    void: bool = False

    def __call__(self, step: Step) -> tuple[Array, Array | None]:
        """Carry out, follow and collect."""
        undecided = step.undecided
        own = {flip.position: flip.value for flip in self.chosen if flip.site == step.site}
        value = self._chosen(step, own)
        if step.site in self.wanted:
            self._follow(step, value, own)
        for position in map(int, np.nonzero(undecided.ravel())[0]):
            if len(self.ties) >= _MOST_TIES:
                break
            if position not in own:
                others = step.others(position, float(value.flat[position]))
                ties = [Flip(step.site, position, other) for other in others]
                self.ties.extend(ties[: _MOST_TIES - len(self.ties)])
        return value, undecided if undecided.any() else None

    def _chosen(self, step: Step, own: Mapping[int, float]) -> Array:
        """The values with the step's own flips carried out."""
        value = step.value.copy()
        if self.level and step.tie is not None:
            self._adopt(step, value, step.tie, own)
        value.flat[list(own)] = list(own.values())
        allowed = step.allows(value).ravel()
        for position in own:
            if not allowed[position]:
                value.flat[position] = step.value.flat[position]
                self.void = True
        return value

    def _follow(self, step: Step, value: Array, own: Mapping[int, float]) -> None:
        """Adopt what is known about another execution."""
        self._adopt(step, value, self.wanted[step.site].reshape(value.shape), own)

    def _adopt(self, step: Step, value: Array, wanted: Array, own: Mapping[int, float]) -> None:
        """Adopt what is wanted and possible, but for the step's own flips."""
        other = (step.allows(wanted) & (wanted != value)).ravel()
        for position in map(int, np.nonzero(other)[0]):
            if position not in own:
                value.flat[position] = wanted.flat[position]
                self.followed.append(Flip(step.site, position, float(wanted.flat[position])))


@dataclass
class Record:
    """Decides as the oracle, and keeps what it decided.

    Attributes:
        decided: site -> results, flat float64.
    """

    decided: dict[str, Array] = field(default_factory=dict)

    def __call__(self, step: Step) -> tuple[Array, Array | None]:
        """Keep the results."""
        self.decided[step.site] = step.value.astype(np.float64).ravel()
        return step.value, None


@dataclass
class Follow:
    """Decides as the reference was seen to, and notes where that is outside of the bound.

    Attributes:
        observed: site -> the reference's results, flat, NaN where unknown.
        taken: sites at which the reference differs within the bound -> number of elements.
        refused: (site, position, reference, oracle) of the first difference outside of the bound.
    """

    observed: Mapping[str, Array]
    taken: dict[str, int] = field(default_factory=dict)
    refused: tuple[str, int, float, float] | None = None

    def __call__(self, step: Step) -> tuple[Array, Array | None]:
        """Adopt what is within the bound."""
        undecided = step.undecided
        seen = self.observed.get(step.site)
        if seen is None:
            return step.value, undecided if undecided.any() else None
        reference = seen.reshape(step.value.shape)
        known = ~np.isnan(reference)
        other = known & (reference != step.value)
        outside = other & ~step.allows(reference)
        if outside.any() and self.refused is None:
            position = int(np.nonzero(outside.ravel())[0][0])
            self.refused = (step.site, position, float(reference.flat[position]), float(step.value.flat[position]))
        if other.any():
            self.taken[step.site] = int(other.sum())
        value = np.where(other & ~outside, reference, step.value).astype(step.value.dtype)
        undecided &= ~known
        return value, undecided if undecided.any() else None
