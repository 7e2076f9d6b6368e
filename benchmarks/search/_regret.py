"""Running strategies on a space in which everything was measured, and what their regret is.

A query reads one architecture's accuracy; latency is free, so that what a strategy proposes beyond the limit costs no query and tells it
only by how much it is beyond.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from benchmarks.search._nasbench import position, ranks
from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.search.observed import Features
from hwnas.search.strategy import STRATEGIES, Outcomes, Strategy, Trials

_FREE = 50


@dataclass(frozen=True)
class Problem:
    """Maximise ``accuracy (n,)`` of ``codes (n, n_choices)`` where ``cost (n,)`` is at most ``limit``.

    ``features`` are for strategies that learn from any; without them, the choices are.
    """

    name: str
    space: SearchSpace
    codes: Codes
    accuracy: Floats
    cost: Floats
    limit: float
    features: Features | None = None

    @cached_property
    def _where(self) -> NDArray[np.intp]:
        return position(self.space, self.codes)

    @cached_property
    def best(self) -> float:
        """The true constrained optimum."""
        return float(self.accuracy[self.cost <= self.limit].max())

    def rows(self, codes: Codes) -> NDArray[np.intp]:
        """Where ``codes`` are in the measurements."""
        found: NDArray[np.intp] = self._where[ranks(self.space, codes)]
        return found

    def violation(self, codes: Codes) -> Floats:
        """By what share the limit is missed, ``(n,)``."""
        over: Floats = np.maximum(self.cost[self.rows(codes)] / self.limit - 1, 0.0)
        return over


def regret(problem: Problem, name: str, *, queries: int, batch: int, seed: int) -> Floats:
    """The regret to the true optimum after each query, ``(queries,)``."""
    make: Callable[..., Strategy] = STRATEGIES.get(name)
    offered = {"limits": problem.violation, "features": problem.features}
    options = {key: value for key, value in offered.items() if key in inspect.signature(make).parameters}
    strategy = make(problem.space, seed=seed, **options)
    found: list[float] = []
    # proposals beyond the limit are free, but not for ever
    for _ in range(_FREE * queries):
        asked = strategy.ask(min(batch, queries - len(found)))
        if not len(asked):
            break
        violation = problem.violation(asked.codes)
        fits = violation == 0
        # an accuracy is read where the limit is kept, and only there
        accuracy = np.zeros(len(asked))
        accuracy[fits] = problem.accuracy[problem.rows(asked.codes[fits])]
        strategy.tell(Trials(asked.codes), Outcomes(-accuracy[:, None], violation))
        found += accuracy[fits].tolist()
        if len(found) >= queries:
            break
    if not found:
        return np.full(queries, np.inf)
    best = np.maximum.accumulate(found)
    # a strategy that is done stays where it is
    return problem.best - np.concatenate([best, np.full(queries - len(best), best[-1])])


def worse_than_random(regrets: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """For each strategy, the chance of regrets as large as its own were it no worse than random, pooled over problems (Mann-Whitney U).

    ``regrets`` by strategy are ``(problems, seeds, queries)``; those after the last query are compared within each problem, and the
    statistics are summed.
    """
    chance = {}
    for name, own in regrets.items():
        excess, variance = 0.0, 0.0
        for mine, theirs in zip(own[:, :, -1], regrets["random"][:, :, -1], strict=True):
            n = len(mine)
            both = np.concatenate([mine, theirs])
            _, ties = np.unique(both, return_counts=True)
            above = (mine[:, None] > theirs).sum() + 0.5 * (mine[:, None] == theirs).sum()
            excess += float(above) - n * n / 2
            variance += n * n / 12 * (2 * n + 1 - float((ties**3 - ties).sum()) / (2 * n * max(2 * n - 1, 1)))
        chance[name] = 1.0 if variance == 0 else 1 - NormalDist().cdf(excess / variance**0.5)
    return chance
