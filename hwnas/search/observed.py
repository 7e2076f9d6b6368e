"""What a strategy that learns from every outcome keeps: all of them, and where to look for the next."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.search.novel import Seen
from hwnas.search.scores import normal_scores
from hwnas.search.strategy import Outcomes, Trials
from hwnas.search.structure import combinations
from hwnas.space.moves import cross, mutate, sample, unique

Limits = Callable[[Codes], Floats]
Features = Callable[[Codes], Floats]
_LISTED = 20_000
_TRIES, _SPARE = 16, 16


class Observed:
    """Everything told so far, and what was asked; the first objective counts.

    ``limits: (n, n_choices) -> (n,)`` is the violation of constraints that are known without evaluating (a latency table's, say): what
    violates them is not proposed while anything else is found.
    """

    def __init__(self, space: SearchSpace, *, seed: int, initial: Codes | None, limits: Limits | None) -> None:
        self.space = space
        self.rng = np.random.default_rng(seed)
        self.codes: Codes = sample(space, 0, self.rng)
        self.objective: Floats = np.zeros(0)
        self.violation: Floats = np.zeros(0)
        self._seen = Seen()
        self._initial = self.codes if initial is None else self._seen.fresh(space.canonical(initial))
        self._limits = limits

    def tell(self, trials: Trials, outcomes: Outcomes) -> None:
        """Keep what came out."""
        self.codes = np.concatenate([self.codes, trials.codes])
        self.objective = np.concatenate([self.objective, outcomes.objectives[:, 0]])
        self.violation = np.concatenate([self.violation, outcomes.violation])

    def given(self, n: int) -> Codes:
        """Up to ``n`` of the initial codes that were not asked for yet."""
        now, self._initial = self._initial[:n], self._initial[n:]
        return now

    @property
    def asked(self) -> int:
        """How many were asked for so far."""
        return len(self._seen) - len(self._initial)

    def opening(self, n: int, *, first: int) -> Codes:
        """Up to ``n`` to begin with: the initial codes, then random ones until ``first`` were asked for."""
        codes = self.given(n)
        return np.concatenate([codes, self.random(max(0, min(n - len(codes), first - self.asked)))])

    def ranked(self) -> NDArray[np.intp]:
        """Rows, the best first: the least violation, then the least objective."""
        return np.lexsort((self.objective, self.violation))

    def scores(self) -> Floats:
        """How good each row is among all, as normal scores: the best has the largest."""
        _, rank = np.unique(np.stack([self.violation, self.objective], axis=1), axis=0, return_inverse=True)
        return normal_scores(-rank.astype(np.float64))

    def random(self, n: int) -> Codes:
        """``n`` new codes, within the limits where such are found; fewer when hardly any are left."""
        spare = 1 if self._limits is None else _SPARE
        found = self._seen.gather(n, lambda k: self._within(sample(self.space, spare * k, self.rng))[:k], tries=_TRIES)
        return np.concatenate([found, self._seen.gather(n - len(found), lambda k: sample(self.space, k, self.rng), tries=_TRIES)])

    def candidates(self, parents: Codes, n: int) -> Codes:
        """Distinct codes that were not asked for: all of a small space, else about ``n``: mutants, crossings, and some at random."""
        if np.prod(self.space.n_options.astype(np.float64)) <= _LISTED:
            return self._every[self.open(self._every)]
        first, second = (parents[self.rng.integers(0, len(parents), n)] for _ in range(2))
        rate = 1 / max(len(self.space.choices), 1)
        mixed = mutate(self.space, cross(self.space, first[: n // 4], second[: n // 4], self.rng), self.rng, rate=rate)
        near = mutate(self.space, first[n // 4 : 3 * n // 4], self.rng, rate=rate)
        codes = unique(np.concatenate([near, mixed, sample(self.space, n - n // 2, self.rng)]))
        return codes[self.open(codes)]

    @cached_property
    def _every(self) -> Codes:
        """All architectures of the space, in a random order, so that ties are not settled by the order of options."""
        listed = unique(self.space.canonical(combinations(self.space, tuple(range(len(self.space.choices))))))
        return self.rng.permutation(listed)

    def open(self, codes: Codes) -> NDArray[np.intp]:
        """Rows of ``codes`` that were not asked for and are within the limits."""
        rows = np.array(self._seen.unknown(codes), dtype=np.intp)
        return rows if self._limits is None else rows[self._limits(codes[rows]) == 0]

    def take(self, codes: Codes) -> Codes:
        """Those of ``codes`` that are new; they count as asked for."""
        return self._seen.fresh(codes)

    def take_some(self, codes: Codes, n: int) -> Codes:
        """Up to ``n`` of ``codes`` that are new and within the limits."""
        return self._seen.fresh(codes[self.open(codes)[:n]])

    def _within(self, codes: Codes) -> Codes:
        return codes if self._limits is None else codes[self._limits(codes) == 0]
