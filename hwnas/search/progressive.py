"""Progressive search: begin with the smallest architecture and grow the best of each size, as far as a predictor of the next size says.

Liu et al. 2018, Progressive Neural Architecture Search (arXiv 1712.00559). There a cell grows by one block at a time; here, in a space of
any family, one choice at a time is set above its first option (options ascend). Of everything that the best of one size can grow to, an
ensemble that learnt from all sizes so far picks what is evaluated. What was grown teaches the ensemble; once the largest size is done, it
picks from the whole space.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.search.observed import Features, Limits, Observed
from hwnas.search.polish import Moves
from hwnas.search.strategy import STRATEGIES, Outcomes, Trials
from hwnas.search.surrogate import Surrogate
from hwnas.space.moves import unique

_PARENTS = 32


class Progressive:
    """Minimises the first objective.

    ``beam``: how many of a size are evaluated before the next one, and grown. ``features`` are what the ensemble sees of a code,
    ``candidates`` how many it picks from once all sizes are done.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        initial: Codes | None = None,
        limits: Limits | None = None,
        features: Features | None = None,
        beam: int = 8,
        candidates: int = 1000,
    ) -> None:
        if beam < 1 or candidates < 4:
            raise ConfigError(f"progressive search needs a beam of at least 1 and 4 candidates, not {beam} and {candidates}")
        self._known = Observed(space, seed=seed, initial=initial, limits=limits)
        self._surrogate = Surrogate(self._known, features)
        self._moves = Moves.over(space, [(position,) for position in range(len(space.choices))])
        self._beam = beam
        self._size = 0
        self._left = beam
        self._candidates = candidates

    def ask(self, n: int) -> Trials:
        """Initial codes, the smallest architecture, what the best of one size grow to, and so on; then what promises most anywhere."""
        known = self._known
        codes = known.given(n)
        if len(codes) < n:
            smallest = known.space.canonical(np.zeros((1, len(known.space.choices)), dtype=np.int16))
            codes = np.concatenate([codes, known.take(smallest)])
        if not len(codes):
            codes = self._next(n)
        if not len(codes):
            near = known.candidates(known.codes[known.ranked()[:_PARENTS]], max(self._candidates, 2 * n))
            codes = known.take(near[np.argsort(-self._surrogate.drawn(near), kind="stable")[:n]] if len(near) else near)
        return Trials(codes if len(codes) else known.random(n))

    def tell(self, trials: Trials, outcomes: Outcomes) -> None:
        """Learn from what came out."""
        self._known.tell(trials, outcomes)

    def _next(self, n: int) -> Codes:
        """Up to ``n`` of this size's beam, or else of a later one's; none when nothing grows to a size that is not done."""
        known = self._known
        codes = known.codes[:0]
        for _ in known.space.choices:
            rows = known.ranked()
            rows = rows[(known.codes[rows] > 0).sum(axis=1) == self._size]
            codes = self._grown(rows[: self._beam], min(n, self._left))
            self._left -= len(codes)
            if len(codes) or self._size == len(known.space.choices):
                break
            self._size, self._left = self._size + 1, self._beam
        return codes

    def _grown(self, rows: NDArray[np.intp], n: int) -> Codes:
        """The ``n`` that promise most of all to which these rows of what is known can grow."""
        known = self._known
        if not len(rows) or n == 0:
            return known.codes[:0]
        parents = known.codes[rows][:, None]
        grown = known.space.canonical(np.where(self._moves.mask, self._moves.to, parents).reshape(-1, parents.shape[2]).astype(np.int16))
        of = np.repeat(rows, len(self._moves.mask))
        grown = grown[(grown > 0).sum(axis=1) > (known.codes[of] > 0).sum(axis=1)]
        return known.take(self._promising(unique(grown[known.open(grown)]))[:n])

    def _promising(self, codes: Codes) -> Codes:
        """Those that the ensemble finds best first."""
        if len(codes) < 2 or len(self._known.codes) < 2:
            return codes
        return codes[np.argsort(-self._surrogate.predict(codes).mean(axis=0), kind="stable")]


STRATEGIES.register("progressive", Progressive)
