"""Random search (Bergstra & Bengio 2012): the yardstick for every other strategy."""

from __future__ import annotations

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.search.novel import Seen
from hwnas.search.strategy import STRATEGIES, Outcomes, Trials
from hwnas.space.moves import sample

_TRIES = 16


class RandomSearch:
    """Every choice uniform over its options; no architecture twice. Done when hardly anything new turns up."""

    def __init__(self, space: SearchSpace, *, seed: int, initial: Codes | None = None) -> None:
        self._space = space
        self._rng = np.random.default_rng(seed)
        self._seen = Seen()
        self._initial = sample(space, 0, self._rng) if initial is None else self._seen.fresh(space.canonical(initial))

    def ask(self, n: int) -> Trials:
        """What is left of the initial codes first, then samples."""
        given, self._initial = self._initial[:n], self._initial[n:]
        drawn = self._seen.gather(n - len(given), lambda k: sample(self._space, k, self._rng), tries=_TRIES)
        return Trials(np.concatenate([given, drawn]))

    def tell(self, trials: Trials, outcomes: Outcomes) -> None:
        """Random search does not learn."""


STRATEGIES.register("random", RandomSearch)
