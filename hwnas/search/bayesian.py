"""Bayesian optimisation: what promises the largest expected improvement under a Gaussian process is evaluated next.

Jones et al. 1998 (doi:10.1023/A:1008306431147) for the improvement, with the process of `gaussian`.
"""

from __future__ import annotations

from functools import partial
from math import erf, pi, sqrt

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.core.predict import Floats
from hwnas.search.gaussian import GaussianProcess, Scales
from hwnas.search.observed import Features, Limits, Observed
from hwnas.search.scores import normal_scores
from hwnas.search.strategy import STRATEGIES, Outcomes, Trials
from hwnas.space.moves import encode

_FITTED = 400
_PARENTS = 32
_REFIT = 1.3


class Bayesian:
    """Minimises the first objective.

    ``features: (n, n_choices) -> (n, p)`` are what the process sees of a code (default: the choices, one-hot), ``random`` says how many
    are drawn first, ``candidates`` for how many the improvement is computed.
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
        candidates: int = 2000,
    ) -> None:
        if random < 2 or candidates < 4:
            raise ConfigError(f"Bayesian optimisation needs at least 2 random trials and 4 candidates, not {random} and {candidates}")
        self._known = Observed(space, seed=seed, initial=initial, limits=limits)
        self._features: Features = partial(encode, space) if features is None else features
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
        y = normal_scores(-known.objective[rows])
        if self._scales is None or len(known.objective) >= _REFIT * self._scaled_at:
            self._scales, self._scaled_at = None, len(known.objective)
        model = GaussianProcess.of(self._features(known.codes[rows]), y, scales=self._scales)
        self._scales = model.scales
        codes = known.candidates(known.codes[rows[:_PARENTS]], max(self._candidates, 2 * n))
        features = self._features(codes)
        mean = model.mean(features)
        # deviations take far longer than means, and those with the least means are not chosen
        near = np.argsort(-mean, kind="stable")[: max(self._candidates, n)]
        gain = expected_improvement(mean[near], model.std(features[near]), float(y.max()))
        return known.take(codes[near[np.argsort(-gain, kind="stable")[:n]]])


def expected_improvement(mean: Floats, std: Floats, best: float) -> Floats:
    """Of maximising: how much above ``best`` a normal variable is on average, counting nothing below; ``(n,)``."""
    z = (mean - best) / std
    density = np.exp(-(z**2) / 2) / sqrt(2 * pi)
    below = 0.5 * (1 + np.array([erf(v / sqrt(2)) for v in z]))
    gain: Floats = (mean - best) * below + std * density
    return gain


STRATEGIES.register("bayesian", Bayesian)
