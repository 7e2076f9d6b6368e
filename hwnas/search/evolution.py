"""Regularised evolution: tournaments choose parents, children are mutations of them, and the oldest die whatever their fitness.

Real et al. 2019, Regularized Evolution for Image Classifier Architecture Search (arXiv 1802.01548), with children made in batches as its
parallel workers did. Unlike there, a share of the children has two parents, which ends nearer the optimum under a latency budget, where
a good block must often be paid for by a cheaper one elsewhere. Feasibility first: any feasible architecture beats any that is not (Deb
2000, doi:10.1016/S0045-7825(99)00389-8).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.core.predict import Floats
from hwnas.search.novel import Seen
from hwnas.search.strategy import STRATEGIES, Outcomes, Trials
from hwnas.space.moves import cross, mutate, sample

_TRIES = 4


class RegularizedEvolution:
    """Minimises the first objective.

    ``rate`` is the chance of each active choice to change (default: one of all choices on average; one always does), ``crossover`` the
    share of children with two parents.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        initial: Codes | None = None,
        population: int = 256,
        tournament: int = 32,
        rate: float | None = None,
        crossover: float = 0.5,
    ) -> None:
        if population < 1 or not 1 <= tournament <= population:
            raise ConfigError(f"evolution needs a population of at least 1 and tournaments within it, not {population} and {tournament}")
        if rate is not None and not 0 < rate <= 1:
            raise ConfigError(f"a mutation rate must be above 0 and at most 1, not {rate}")
        if not 0 <= crossover <= 1:
            raise ConfigError(f"a share of crossover must be 0 to 1, not {crossover}")
        self._space = space
        self._rng = np.random.default_rng(seed)
        self._tournament = tournament
        self._rate = 1 / max(len(space.choices), 1) if rate is None else rate
        self._crossover = crossover
        self._seen = Seen()
        self._initial = sample(space, 0, self._rng) if initial is None else self._seen.fresh(space.canonical(initial))
        self._size = population
        self._asked = 0
        self._codes = sample(space, 0, self._rng)
        self._objective: Floats = np.zeros(0)
        self._violation: Floats = np.zeros(0)
        self._ranked: NDArray[np.intp] = np.zeros(0, dtype=np.intp)

    def ask(self, n: int) -> Trials:
        """Initial codes, then random ones until the population is full, then children."""
        given, self._initial = self._initial[:n], self._initial[n:]
        random = max(0, min(n, self._size - self._asked) - len(given))
        parts = [given, self._seen.gather(random, self._sample, tries=_TRIES)]
        missing = n - sum(map(len, parts))
        if missing and len(self._codes):
            parts.append(self._seen.gather(missing, self._children, tries=_TRIES))
            missing -= len(parts[-1])
        if missing == n:
            # everything near the population is known: look elsewhere before saying that all is done
            parts.append(self._seen.gather(n, self._sample, tries=_TRIES))
        codes = np.concatenate(parts)
        self._asked += len(codes)
        return Trials(codes)

    def tell(self, trials: Trials, outcomes: Outcomes) -> None:
        """The youngest ``population`` stay."""
        self._codes = np.concatenate([self._codes, trials.codes])[-self._size :]
        self._objective = np.concatenate([self._objective, outcomes.objectives[:, 0]])[-self._size :]
        self._violation = np.concatenate([self._violation, outcomes.violation])[-self._size :]
        self._ranked = np.lexsort((self._objective, self._violation))

    def _sample(self, n: int) -> Codes:
        return sample(self._space, n, self._rng)

    def _children(self, n: int) -> Codes:
        children = self._codes[self._parents(n)]
        pairs = np.flatnonzero(self._rng.random(n) < self._crossover)
        children[pairs] = cross(self._space, children[pairs], self._codes[self._parents(len(pairs))], self._rng)
        return mutate(self._space, children, self._rng, rate=self._rate)

    def _parents(self, n: int) -> NDArray[np.intp]:
        """Winners of ``n`` tournaments.

        The best of k entrants that are drawn uniformly has a rank of a known distribution, and is drawn from that: once instead of k times.
        """
        alive = len(self._ranked)
        size = min(self._tournament, alive)
        return self._ranked[(alive * (1 - self._rng.random(n) ** (1 / size))).astype(np.intp)]


STRATEGIES.register("evolution", RegularizedEvolution)
