"""Bayesian linear regression of latencies with relative, heavy-tailed noise.

``y = X w + relative noise``: the weights have a Gaussian prior, the noise is Student-t (Lange et al. 1989, doi:10.2307/2290063) with a
scale that is itself learned, so that a disturbed measurement pulls little and ten measurements do not pretend to be exact. Computed in the
dual form, by Gaussian conditioning (Rasmussen & Williams 2006, ch. 2), so that the number of weights may be far above that of
measurements.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.core.predict import Floats

_ROUNDS = 15
_DEGREES = 4.0
"""Of freedom of the noise."""
_NOISE_STRENGTH = 0.5
"""How many measurements the prior noise counts for: few, since devices differ in it by a factor of ten and more."""
_LOWEST = 0.2
"""Noise is relative to what is predicted, but at least to this share of the median: predictions near 0 are no certain ones."""
_GRID = np.geomspace(0.005, 0.32, 7)


@dataclass(frozen=True, slots=True)
class Belief:
    """What is known of weights before a measurement: ``mean (p,)``, ``covariance (p, p)``, and the usual relative ``noise``.

    ``noise_spread`` is the standard deviation of its logarithm.
    """

    mean: Floats
    covariance: Floats
    noise: float
    noise_spread: float = 1.0


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is known after: weights ``(p,)`` with their ``covariance (p, p)``, and the relative ``noise`` of one measurement."""

    weights: Floats
    covariance: Floats
    noise: float

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of a new measurement, ``(n, p) -> (n,), (n,)``."""
        mean = features @ self.weights
        variance = np.einsum("ij,ij->i", features @ self.covariance, features)
        return mean, np.sqrt(np.maximum(variance, 0.0) + (self.noise * mean) ** 2)


@dataclass(frozen=True, slots=True)
class Solution:
    """What measurements say in the dual form: a new network with prior covariances ``k (n,)`` to the measured ones changes by ``k @ pull``,
    and its variance falls by ``k @ precision @ k``.
    """

    pull: Floats
    precision: Floats
    noise: float
    mean: Floats


def solve(gram: Floats, expected: Floats, y: Floats, *, noise: float) -> Solution:
    """From the prior covariance ``gram (n, n)`` of the measured networks, what was ``expected (n,)`` and the usual relative ``noise``."""
    usual, trust = noise, np.ones(len(y))
    floor = _LOWEST * float(np.median(y))
    mean = expected
    for _ in range(_ROUNDS):
        level = np.maximum(mean, floor)
        inverse = _inverse(gram + np.diag((noise * level) ** 2 / trust))
        mean = expected + gram @ (inverse @ (y - expected))
        left = np.diag(gram - gram @ inverse @ gram)
        errors = ((y - mean) ** 2 + np.maximum(left, 0.0)) / np.maximum(mean, floor) ** 2
        noise = float(np.sqrt((_NOISE_STRENGTH * usual**2 + trust @ errors) / (_NOISE_STRENGTH + len(y))))
        trust = (_DEGREES + 1) / (_DEGREES + errors / noise**2)
    precision = _inverse(gram + np.diag((noise * np.maximum(mean, floor)) ** 2 / trust))
    pull = precision @ (y - expected)
    return Solution(pull, precision, noise, expected + gram @ pull)


def _inverse(matrix: Floats) -> Floats:
    out: Floats = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    return out


def condition(features: Floats, y: Floats, belief: Belief) -> Posterior:
    """What ``n`` measurements ``y (n,)`` of ``features (n, p)`` say of the weights."""
    cross = features @ belief.covariance
    solution = solve(cross @ features.T, features @ belief.mean, y, noise=belief.noise)
    covariance = belief.covariance - cross.T @ solution.precision @ cross
    return Posterior(belief.mean + cross.T @ solution.pull, (covariance + covariance.T) / 2, solution.noise)


def evidence(gram: Floats, expected: Floats, y: Floats, solution_mean: Floats, *, noise: float, noise_spread: float) -> float:
    """Logarithm of how likely ``y (n,)`` was, whatever the noise: what decides between views of the same networks.

    The noise is summed over a grid with a log-normal prior around ``noise``, and is relative to ``solution_mean``.
    """
    level = np.maximum(solution_mean, _LOWEST * float(np.median(y)))
    residual = y - expected
    terms = []
    for each in _GRID:
        covariance = gram + np.diag((each * level) ** 2)
        fit = residual @ np.linalg.solve(covariance, residual) + np.linalg.slogdet(covariance)[1]
        terms.append(-0.5 * fit - 0.5 * (np.log(each / noise) / noise_spread) ** 2)
    return float(np.logaddexp.reduce(terms))


def robust_weights(features: Floats, y: Floats, *, ridge: float = 1e-6) -> tuple[Floats, float]:
    """Weights ``(p,)`` and relative noise of a device with many measurements: least squares of relative errors, reweighted (Huber 1964)."""
    relative = features / y[:, None]
    penalty = ridge * np.diag(np.einsum("ij,ij->j", relative, relative) + 1e-12)
    trust = np.ones(len(y))
    weights, noise = np.zeros(features.shape[1]), 0.0
    for _ in range(_ROUNDS):
        weighted = relative * trust[:, None]
        weights = np.linalg.solve(weighted.T @ relative + penalty, weighted.sum(axis=0))
        errors = np.abs(relative @ weights - 1)
        noise = 1.4826 * float(np.median(errors))
        trust = np.minimum(1.0, 1.345 * noise / np.maximum(errors, 1e-12))
    return weights, noise
