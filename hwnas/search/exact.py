"""The whole front of additive models, exactly: dynamic programming over Pareto sets of parts of the network.

Where latency and accuracy are sums of parts with few choices each (`hwnas.search.structure`), choices are eliminated one group after the
other, and of every group only the non-dominated options are kept for each option of what it interacts with: bucket elimination with two
objectives (Rollón & Larrosa 2006, doi:10.1007/s10732-006-6726-y).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats
from hwnas.search.archive import Archive, Front
from hwnas.search.feasible import check_budgets
from hwnas.search.paretoset import ParetoSet, of_options, plus, union
from hwnas.search.solver import SOLVERS, Models
from hwnas.search.structure import Decomposition, Part, combinations, decompose, rank

_MATCH = 1e-7


class Exact:
    """Solves models that are sums over parts of the architecture; ``seed`` and ``trials`` change nothing."""

    def __init__(self, *, seed: int = 0, trials: int = 1) -> None:
        del seed, trials

    def solve(self, models: Models, budgets_ms: Sequence[float]) -> Front:
        """The whole front, whatever the budgets; ``Front.bound`` is what rounding can make of the sums.

        Models that are no such sums raise `PredictorError`.
        """
        check_budgets(models.space, models.latency, budgets_ms)

        def both(codes: Codes) -> Floats:
            return np.stack([models.latency.upper(codes), -models.accuracy.predict(codes).mean], axis=1)

        codes, values = solve_sums(decompose(models.space, both))
        archive = Archive(models.space, models.latency, models.accuracy)
        scored = archive.score(codes)
        off = np.abs(np.stack([scored.upper_ms, -scored.accuracy], axis=1) - values).max(axis=0)
        if (off > _MATCH * np.maximum(1.0, np.abs(values).max(axis=0))).any():
            raise PredictorError(
                f"space '{models.space.name}': the models are off their sums by {off.max():.2g} on the front; no exact search is possible"
            )
        return archive.front(bound=float(off[1]))


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


SOLVERS.register("exact", Exact)
