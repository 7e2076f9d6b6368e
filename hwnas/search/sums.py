"""The whole front of two sums, exactly: dynamic programming over Pareto sets of parts of the network.

Where both are sums of parts with few choices each (`hwnas.search.structure`), choices are eliminated one group after the other, and of
every group only the non-dominated options are kept for each option of what it interacts with: bucket elimination with two objectives
(Rollón & Larrosa 2006, doi:10.1007/s10732-006-6726-y).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.search.paretoset import ParetoSet, of_options, plus, union
from hwnas.search.structure import Decomposition, Part, combinations, rank


def solve_sums(sums: Decomposition) -> tuple[Codes, Floats]:
    """The front of a sum of (cost, loss): ``codes (n, n_choices) int16``, canonical, and its ``(n, 2)`` values, by ascending cost."""
    waiting: list[_Message] = []
    for part in sums.parts:
        own = set(part.own)
        mine = [m for m in waiting if own & set(m.scope)]
        waiting = [m for m in waiting if not own & set(m.scope)]
        waiting.append(_eliminate(sums.space, part, mine))
    done = _sum([m.sets[0] for m in waiting])
    values = np.stack([done.cost, done.loss], axis=1) + sums.constant
    return sums.space.canonical(done.codes(len(sums.space.choices))), values


@dataclass(frozen=True, slots=True)
class _Message:
    """What is left of eliminated choices: a Pareto set for each combination of the choices in ``scope``."""

    scope: tuple[int, ...]
    sets: tuple[ParetoSet, ...]


def _eliminate(space: SearchSpace, part: Part, messages: list[_Message]) -> _Message:
    outer, inner = combinations(space, part.shared), combinations(space, part.own)
    full = np.zeros((len(inner), len(space.choices)), dtype=np.int16)
    full[:, part.own] = inner
    sets = []
    for table, options in zip(part.table, outer, strict=True):
        full[:, part.shared] = options
        which = np.stack([rank(space, full, m.scope) for m in messages], axis=1) if messages else np.zeros((len(inner), 0), dtype=np.intp)
        # options that meet the same sets are compared before they are added to them
        alike: dict[tuple[int, ...], list[int]] = {}
        for row, key in enumerate(map(tuple, which.tolist())):
            alike.setdefault(key, []).append(row)
        sums = []
        for key, rows in alike.items():
            mine = of_options(part.own, inner[rows], table[rows, 0], table[rows, 1])
            sums.append(_sum([mine, *(m.sets[i] for m, i in zip(messages, key, strict=True))]))
        sets.append(union(sums))
    return _Message(part.shared, tuple(sets))


def _sum(sets: Sequence[ParetoSet]) -> ParetoSet:
    """All of them together, small ones first: that keeps what is compared at each step small."""
    number = count()
    heap = [(len(s), next(number), s) for s in sets]
    heapq.heapify(heap)
    for _ in range(len(sets) - 1):
        one, other = heapq.heappop(heap)[2], heapq.heappop(heap)[2]
        both = plus(one, other)
        heapq.heappush(heap, (len(both), next(number), both))
    return heap[0][2]
