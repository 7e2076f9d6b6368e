"""The evolution of Once-for-All (Cai et al. 2020, arXiv 1908.09791): the best quarter stay and breed, half by mutation, half by crossing.

The settings are the published ones: a population of 100, a quarter of it parents, each choice mutated with probability 0.1.
"""

from __future__ import annotations

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.search.observed import Limits, Observed
from hwnas.search.strategy import STRATEGIES, Outcomes, Trials
from hwnas.space.moves import cross, mutate

_TRIES = 4


class OnceForAllEvolution:
    """Minimises the first objective; ``parents``: how many of all that were evaluated breed."""

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        initial: Codes | None = None,
        limits: Limits | None = None,
        population: int = 100,
        parents: int = 25,
        rate: float = 0.1,
    ) -> None:
        if not 1 <= parents <= population or not 0 < rate <= 1:
            raise ConfigError(f"evolution needs parents within its population and a rate of 0 to 1, not {parents}, {population} and {rate}")
        self._known = Observed(space, seed=seed, initial=initial, limits=limits)
        self._space = space
        self._size = population
        self._parents = parents
        self._rate = rate

    def ask(self, n: int) -> Trials:
        """Initial codes, random ones until there is a population, then children of its best."""
        known = self._known
        codes = known.opening(n, first=self._size)
        for _ in range(_TRIES if len(known.codes) else 0):
            if len(codes) >= n:
                break
            codes = np.concatenate([codes, known.take_some(self._children(2 * (n - len(codes))), n - len(codes))])
        if not len(codes):
            # everything near is known: look elsewhere before saying that all is done
            codes = known.random(n)
        return Trials(codes)

    def tell(self, trials: Trials, outcomes: Outcomes) -> None:
        """Learn from what came out."""
        self._known.tell(trials, outcomes)

    def _children(self, n: int) -> Codes:
        known, rng = self._known, self._known.rng
        best = known.codes[known.ranked()[: self._parents]]
        first, second = best[rng.integers(0, len(best), n)], best[rng.integers(0, len(best), n)]
        mutants = mutate(self._space, first, rng, rate=self._rate)
        mixed = cross(self._space, first, second, rng)
        return np.where(rng.random((n, 1)) < 0.5, mutants, mixed).astype(np.int16)


STRATEGIES.register("once_for_all", OnceForAllEvolution)
