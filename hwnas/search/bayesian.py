"""Bayesian optimisation: what promises the largest expected improvement under a Gaussian process is evaluated next.

Jones et al. 1998 (doi:10.1023/A:1008306431147) for the improvement, with the process of `gaussian`. Of a batch, each next one is chosen as
if those before had come out as expected (the kriging believer of Ginsbourger et al. 2010, doi:10.1007/978-3-642-10701-6_6), approximately:
candidates near a chosen one lose in proportion.
"""

from __future__ import annotations

from math import erf, pi, sqrt

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.core.predict import Floats
from hwnas.search.gaussian import GaussianProcess, Scales
from hwnas.search.observed import Limits, Observed
from hwnas.search.scores import normal_scores
from hwnas.search.strategy import STRATEGIES, Outcomes, Trials

_FITTED = 400
_PARENTS = 32
_REFIT = 1.3


class Bayesian:
    """Minimises the first objective. ``random``: how many are drawn first; ``candidates``: among how many the next is chosen."""

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        initial: Codes | None = None,
        limits: Limits | None = None,
        random: int = 20,
        candidates: int = 1000,
    ) -> None:
        if random < 2 or candidates < 4:
            raise ConfigError(f"Bayesian optimisation needs at least 2 random trials and 4 candidates, not {random} and {candidates}")
        self._known = Observed(space, seed=seed, initial=initial, limits=limits)
        self._space = space
        self._first = random
        self._candidates = candidates
        self._scales: Scales | None = None
        self._scaled_at = 0

    def ask(self, n: int) -> Trials:
        """Initial codes, random ones, then those of the largest expected improvement."""
        codes = self._known.opening(n, first=self._first)
        usable = np.flatnonzero(self._known.violation == 0)
        if len(codes) < n and len(usable) > 1:
            codes = np.concatenate([codes, self._chosen(n - len(codes))])
        if len(codes) < n and (len(usable) <= 1 or not len(codes)):
            codes = np.concatenate([codes, self._known.random(n - len(codes))])
        return Trials(codes)

    def tell(self, trials: Trials, outcomes: Outcomes) -> None:
        """Learn from what came out."""
        self._known.tell(trials, outcomes)

    def _chosen(self, n: int) -> Codes:
        known = self._known
        rows = known.ranked()
        rows = rows[known.violation[rows] == 0][:_FITTED]
        y = -normal_scores(known.objective[rows])
        if self._scales is None or len(known.objective) >= _REFIT * self._scaled_at:
            self._scales, self._scaled_at = None, len(known.objective)
        model = GaussianProcess.of(self._space, known.codes[rows], y, scales=self._scales)
        self._scales = model.scales
        codes = known.candidates(known.codes[rows[:_PARENTS]], max(self._candidates, 2 * n))
        if not len(codes):
            return codes
        mean, std = model.predict(codes)
        gain = expected_improvement(mean, std, float(y.max()))
        chosen: list[int] = []
        for _ in range(min(n, len(codes))):
            best = int(np.argmax(gain))
            chosen.append(best)
            apart = (codes != codes[best]).sum(axis=1)
            gain = gain * (1 - np.exp(-apart / model.scales.length))
            gain[best] = -np.inf
        return known.take(codes[chosen])


def expected_improvement(mean: Floats, std: Floats, best: float) -> Floats:
    """Of maximising: how much above ``best`` a normal variable is on average, counting nothing below; ``(n,)``."""
    z = (mean - best) / std
    density = np.exp(-(z**2) / 2) / sqrt(2 * pi)
    below = 0.5 * (1 + np.array([erf(v / sqrt(2)) for v in z]))
    gain: Floats = (mean - best) * below + std * density
    return gain


STRATEGIES.register("bayesian", Bayesian)
