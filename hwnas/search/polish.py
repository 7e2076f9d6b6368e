"""Local search in the neighbourhood of one and two moves, where a move changes one part of an architecture to any of its options.

All single moves are evaluated; of the pairs, those that keep the budget and promise most by the sum of their single gains. Two moves are
needed under a budget: a better block must often be paid for by a cheaper one elsewhere (as in the 2-exchange of Croes 1958,
doi:10.1287/opre.6.6.791).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.search.pool import Pool
from hwnas.search.structure import combinations

_ROUNDS = 50


@dataclass(frozen=True, slots=True)
class Moves:
    """The single moves of a space: ``site (n,)`` says which part each changes, ``mask`` and ``to (n, n_choices)`` to what."""

    space: SearchSpace
    site: NDArray[np.intp]
    mask: NDArray[np.bool_]
    to: Codes

    @classmethod
    def over(cls, space: SearchSpace, sites: Sequence[tuple[int, ...]]) -> Moves:
        """All options of the choices at each of ``sites``."""
        listed = [combinations(space, site) for site in sites]
        count = sum(map(len, listed))
        to, mask = np.zeros((count, len(space.choices)), dtype=np.int16), np.zeros((count, len(space.choices)), dtype=bool)
        start = 0
        for site, options in zip(sites, listed, strict=True):
            rows = slice(start, start + len(options))
            to[rows, site], mask[rows, site] = options, True
            start += len(options)
        return cls(space, np.repeat(np.arange(len(sites)), [len(o) for o in listed]), mask, to)

    def around(self, code: Codes) -> tuple[Codes, NDArray[np.intp]]:
        """The different neighbours of ``code (n_choices,)`` by one move, and the site of each."""
        codes = self.space.canonical(np.where(self.mask, self.to, code))
        moved = (codes != code).any(axis=1)
        codes, site = codes[moved], self.site[moved]
        _, first = np.unique(codes, axis=0, return_index=True)
        first.sort()
        return codes[first], site[first]


def polish(moves: Moves, pool: Pool, code: Codes, accuracy: float, *, pairs: int) -> tuple[Codes, float]:
    """Climb from ``code (n_choices,)`` until no neighbour is better; everything evaluated goes into ``pool``.

    At most ``pairs`` pairs of moves are evaluated a step. Returns where it ended and the accuracy there.
    """
    for _ in range(_ROUNDS):
        near, site = moves.around(code)
        if pool.left < len(near) + pairs:
            break
        near_ms, near_accuracy = pool.judge(near)
        own_ms = float(pool.latency_ms(code[None])[0])
        both = _pairs(near_ms - own_ms, near_accuracy - accuracy, site, pool.budget_ms - own_ms, pairs)
        one, two = near[both[0]], near[both[1]]
        joined = moves.space.canonical(np.where(one != code, one, two))
        joined_ms, joined_accuracy = pool.judge(joined)
        codes = np.concatenate([near, joined])
        ms, reached = np.concatenate([near_ms, joined_ms]), np.concatenate([near_accuracy, joined_accuracy])
        reached = np.where(ms <= pool.budget_ms, reached, -np.inf)
        best = int(np.argmax(reached)) if len(reached) else -1
        if best < 0 or reached[best] <= accuracy:
            break
        code, accuracy = codes[best], float(reached[best])
    return code, accuracy


def _pairs(ms: Floats, gain: Floats, site: NDArray[np.intp], slack_ms: float, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The most promising pairs at different sites that fit together."""
    first, second = np.triu_indices(len(ms), 1)
    fits = (site[first] != site[second]) & (ms[first] + ms[second] <= slack_ms)
    first, second = first[fits], second[fits]
    promise = gain[first] + gain[second]
    if len(promise) > count:
        top = np.argpartition(-promise, count - 1)[:count]
        first, second = first[top], second[top]
    return first, second
