"""Predictor-guided search: an ensemble learns from what was evaluated, and of mutants of the best those it may find best are next.

White et al. 2021, BANANAS (arXiv 1910.11858): small networks, mutation of the best, and independent Thompson sampling: every candidate's
value is drawn from what the ensemble leaves open of it, and the best draws are evaluated.
"""

from __future__ import annotations

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.search.observed import Features, Limits, Observed
from hwnas.search.strategy import STRATEGIES, Outcomes, Trials
from hwnas.search.surrogate import Surrogate

_PARENTS = 32


class PredictorGuided:
    """Minimises the first objective.

    ``features: (n, n_choices) -> (n, p)`` are what the ensemble sees of a code (default: the choices, one-hot), ``random`` says how many
    are drawn first, ``candidates`` among how many the next is chosen.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        initial: Codes | None = None,
        limits: Limits | None = None,
        features: Features | None = None,
        random: int = 20,
        candidates: int = 1000,
    ) -> None:
        if random < 2 or candidates < 4:
            raise ConfigError(f"predictor-guided search needs at least 2 random trials and 4 candidates, not {random} and {candidates}")
        self._known = Observed(space, seed=seed, initial=initial, limits=limits)
        self._surrogate = Surrogate(self._known, features)
        self._first = random
        self._candidates = candidates

    def ask(self, n: int) -> Trials:
        """Initial codes, random ones, then the candidates with the best draws."""
        known = self._known
        codes = known.opening(n, first=self._first)
        if len(codes) < n and len(known.codes) > 1:
            near = known.candidates(known.codes[known.ranked()[:_PARENTS]], max(self._candidates, 2 * n))
            drawn = self._surrogate.drawn(near)
            codes = np.concatenate([codes, known.take(near[np.argsort(-drawn, kind="stable")[: n - len(codes)]])])
        if len(codes) < n and (not len(codes) or len(known.codes) <= 1):
            codes = np.concatenate([codes, known.random(n - len(codes))])
        return Trials(codes)

    def tell(self, trials: Trials, outcomes: Outcomes) -> None:
        """Learn from what came out."""
        self._known.tell(trials, outcomes)


STRATEGIES.register("predictor_guided", PredictorGuided)
