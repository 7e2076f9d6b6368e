"""Local search: evaluate the neighbours of the best by one choice, in random order, and move on when one is better.

White et al. 2021, Exploring the Loss Landscape in Neural Architecture Search (arXiv 2005.02960): with little noise this is hard to beat.
When all neighbours are known, the next best architecture whose neighbours are not gets its turn, so that no restart loses anything.
"""

from __future__ import annotations

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.search.observed import Limits, Observed
from hwnas.search.polish import Moves
from hwnas.search.strategy import STRATEGIES, Outcomes, Trials

_RANKS = 64


class LocalSearch:
    """Minimises the first objective; ``random``: how many are drawn before the first climb."""

    def __init__(
        self, space: SearchSpace, *, seed: int, initial: Codes | None = None, limits: Limits | None = None, random: int = 10
    ) -> None:
        if random < 1:
            raise ConfigError(f"local search needs at least 1 random trial to begin with, not {random}")
        self._known = Observed(space, seed=seed, initial=initial, limits=limits)
        self._moves = Moves.over(space, [(position,) for position in range(len(space.choices))])
        self._first = random

    def ask(self, n: int) -> Trials:
        """Initial codes, random ones, then neighbours of the best."""
        known = self._known
        codes = known.opening(n, first=self._first)
        for row in known.ranked()[:_RANKS]:
            if len(codes) >= n:
                break
            near, _ = self._moves.around(known.codes[row])
            codes = np.concatenate([codes, known.take_some(near[known.rng.permutation(len(near))], n - len(codes))])
        if len(codes) < n:
            codes = np.concatenate([codes, known.random(n - len(codes))])
        return Trials(codes)

    def tell(self, trials: Trials, outcomes: Outcomes) -> None:
        """Learn from what came out."""
        self._known.tell(trials, outcomes)


STRATEGIES.register("local", LocalSearch)
