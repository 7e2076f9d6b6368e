"""Pareto sets of sums, with what is needed to tell which choices a point came from.

A set holds the non-dominated pairs (cost, negative value), both minimised, by ascending cost. It is made of options, of the sum of two
sets, or of the union of several; only non-dominated pairs are kept at every step, which loses no point of the final front, since adding
the same to two pairs keeps their order (Brumbaugh-Smith & Shier 1989, doi:10.1016/0377-2217(89)90215-4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes
from hwnas.core.predict import Floats

_BUCKETS = 2048
_MANY = 4096

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Options:
    """Where points come from: ``options (n, len(positions))`` of the choices at ``positions``."""

    positions: tuple[int, ...]
    options: Codes

    def write(self, codes: Codes, rows: Rows, points: Rows) -> None:
        """Put the options of ``points`` into ``rows`` of ``codes``."""
        codes[rows[:, None], np.array(self.positions, dtype=np.intp)] = self.options[points]


@dataclass(frozen=True, slots=True)
class Sum:
    """Where points come from: one of ``left`` and one of ``right`` each."""

    left: ParetoSet
    right: ParetoSet
    pairs: tuple[Rows, Rows]

    def write(self, codes: Codes, rows: Rows, points: Rows) -> None:
        """Put the options of ``points`` into ``rows`` of ``codes``."""
        for side, index in zip((self.left, self.right), self.pairs, strict=True):
            side.origin.write(codes, rows, index[points])


@dataclass(frozen=True, slots=True)
class Union:
    """Where points come from: point ``index`` of the set ``which``."""

    sets: tuple[ParetoSet, ...]
    which: Rows
    index: Rows

    def write(self, codes: Codes, rows: Rows, points: Rows) -> None:
        """Put the options of ``points`` into ``rows`` of ``codes``."""
        which, index = self.which[points], self.index[points]
        for number, each in enumerate(self.sets):
            own = which == number
            if own.any():
                each.origin.write(codes, rows[own], index[own])


@dataclass(frozen=True, slots=True)
class ParetoSet:
    """Non-dominated ``cost (n,)`` and ``loss (n,)``: costs ascend strictly, losses descend strictly."""

    cost: Floats
    loss: Floats
    origin: Options | Sum | Union

    def __len__(self) -> int:
        return len(self.cost)

    def codes(self, n_choices: int) -> Codes:
        """The choices of every point, ``(n, n_choices) int16``."""
        rows = np.arange(len(self), dtype=np.intp)
        codes = np.zeros((len(self), n_choices), dtype=np.int16)
        self.origin.write(codes, rows, rows)
        return codes


def of_options(positions: tuple[int, ...], options: Codes, cost: Floats, loss: Floats) -> ParetoSet:
    """The best of some options, ``(n, len(positions))`` with ``cost`` and ``loss`` ``(n,)``."""
    keep = front(cost, loss)
    return ParetoSet(cost[keep], loss[keep], Options(positions, options[keep]))


def plus(left: ParetoSet, right: ParetoSet) -> ParetoSet:
    """The best sums of a point of each."""
    cost, loss = (left.cost[:, None] + right.cost).ravel(), (left.loss[:, None] + right.loss).ravel()
    keep = front(cost, loss)
    return ParetoSet(cost[keep], loss[keep], Sum(left, right, (keep // len(right), keep % len(right))))


def union(sets: Sequence[ParetoSet]) -> ParetoSet:
    """The best points of several sets."""
    if len(sets) == 1:
        return sets[0]
    cost, loss = np.concatenate([s.cost for s in sets]), np.concatenate([s.loss for s in sets])
    keep = front(cost, loss)
    starts = np.cumsum([0, *(len(s) for s in sets)])
    which = np.searchsorted(starts, keep, side="right") - 1
    return ParetoSet(cost[keep], loss[keep], Union(tuple(sets), which, keep - starts[which]))


def front(cost: Floats, loss: Floats) -> Rows:
    """Rows that no other dominates, by ascending cost; of equal ones the first."""
    rows = np.arange(len(cost))
    if len(cost) > _MANY:
        rows = _plausible(cost, loss)
        cost, loss = cost[rows], loss[rows]
    order = np.lexsort((loss, cost))
    ranked = loss[order]
    best = np.minimum.accumulate(ranked)
    keep = np.ones(len(ranked), dtype=bool)
    keep[1:] = ranked[1:] < best[:-1]
    return rows[order[keep]]


def _plausible(cost: Floats, loss: Floats) -> Rows:
    """Rows with less loss than every row of a clearly smaller cost: a cheap first cut."""
    low, high = float(cost.min()), float(cost.max())
    if not high > low:
        return np.arange(len(cost))
    slot = ((cost - low) * (_BUCKETS / (high - low))).astype(np.int32)
    best = np.full(_BUCKETS + 2, np.inf)
    np.minimum.at(best[1:], slot, loss)
    before = np.minimum.accumulate(best)
    return np.flatnonzero(loss < before[slot])
