"""A linear model of accuracy in the choices, from a sample: what an exact solver can take in place of a predictor that is no sum.

Ridge regression on one-hot choices. `draws` are samples of its posterior (Thompson 1933, doi:10.1093/biomet/25.3-4.285), so that what is
solved for differs from draw to draw as far as the sample leaves it open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.space.moves import encode

_PENALTY = 0.3


@dataclass(frozen=True, slots=True)
class LinearFit:
    """``weights (p,)`` of the one-hot choices; ``spread (p, p)`` turns standard normal draws into deviations of the weights."""

    weights: Floats
    spread: Floats

    @classmethod
    def of(cls, space: SearchSpace, codes: Codes, y: Floats) -> Self:
        """From ``codes: (n, n_choices) int16`` and ``y: (n,)``."""
        x = encode(space, codes)
        x -= x.mean(axis=0)
        target = y - y.mean()
        gram = x.T @ x + _PENALTY * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, x.T @ target)
        residual = float((target - x @ weights).std())
        return cls(weights, residual * np.linalg.inv(np.linalg.cholesky(gram)).T)

    def draws(self, n: int, rng: np.random.Generator, *, boldness: float = 1.0) -> Floats:
        """``n`` plausible weights, ``(p, n)``; ``boldness`` widens them."""
        return self.weights[:, None] + boldness * self.spread @ rng.normal(size=(len(self.weights), n))
