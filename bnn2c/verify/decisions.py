"""Discontinuous steps of a network and who decides them: the oracle itself, the reference, or a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from bnn2c.verify.bounded import Array

__all__ = ["Decider", "Flip", "Flips", "Follow", "Step"]

_MOST_TIES = 64
_NEAR = 4


@dataclass(frozen=True)
class Step:
    """One discontinuous operation on a whole tensor.

    Attributes:
        site: where: the value's name in the graph, and the number of the function within its expression.
        value: what the oracle's numbers give.
        low: the least result that numbers within the error bound give; `high`: the greatest.
        between: the whole numbers between the two are possible, too (a sign of 0); not so for the index of a maximum.
    """

    site: str
    value: Array
    low: Array
    high: Array
    between: bool = True

    @property
    def undecided(self) -> Array:
        """Elements that another execution may decide in another way."""
        return np.asarray(self.low < self.high)


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
        ties: possible further flips, in order of execution; at most 64.
        void: a chosen flip lies outside of the error bound (another one moved its operands), so it was not carried out.
    """

    chosen: tuple[Flip, ...] = ()
    ties: list[Flip] = field(default_factory=list)
    void: bool = False

    def __call__(self, step: Step) -> tuple[Array, Array | None]:
        """Carry out and collect."""
        value, undecided = step.value.copy(), step.undecided
        own = {flip.position: flip.value for flip in self.chosen if flip.site == step.site}
        for place, wanted in own.items():
            if undecided.flat[place] and step.low.flat[place] <= wanted <= step.high.flat[place]:
                value.flat[place] = wanted
            else:
                self.void = True
        for position in map(int, np.nonzero(undecided.ravel())[0]):
            if position not in own:
                self._collect(step, position)
        return value, undecided if undecided.any() else None

    def _collect(self, step: Step, position: int) -> None:
        now = float(step.value.flat[position])
        low, high = float(step.low.flat[position]), float(step.high.flat[position])
        for other in np.arange(low, high + 1).tolist() if step.between and high - low <= _NEAR else (low, high):
            if other != now and len(self.ties) < _MOST_TIES:
                self.ties.append(Flip(step.site, position, other))


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
        outside = other & ~((reference >= step.low) & (reference <= step.high))
        if outside.any() and self.refused is None:
            position = int(np.nonzero(outside.ravel())[0][0])
            self.refused = (step.site, position, float(reference.flat[position]), float(step.value.flat[position]))
        if other.any():
            self.taken[step.site] = int(other.sum())
        value = np.where(other & ~outside, reference, step.value).astype(step.value.dtype)
        undecided &= ~known
        return value, undecided if undecided.any() else None
