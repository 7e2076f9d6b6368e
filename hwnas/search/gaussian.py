"""A Gaussian process over architectures (Rasmussen & Williams 2006), for what is learnt from tens to hundreds of evaluations.

The kernel falls exponentially with the squared distance of features. Where these are one-hot choices, that is the Hamming distance: in how
many choices two architectures differ (Ru et al. 2021, arXiv 2006.07556, for kernels over architectures). Length and noise maximise the
marginal likelihood over a grid, from a length at which only neighbours are alike to one at which the process is nearly a sum over choices;
the variance follows from both.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np

from hwnas.core.predict import Floats

_LENGTHS = (0.15, 0.25, 0.4, 0.7, 1.2, 2.0, 3.5, 6.0)
_NOISE = (1e-3, 1e-2, 1e-1, 0.3)


@dataclass(frozen=True, slots=True)
class Scales:
    """Of the kernel: the squared distance over which it falls to 1/e, and the share of noise in the variance."""

    length: float
    noise: float


@dataclass(frozen=True, slots=True)
class GaussianProcess:
    """A fitted process: `of` makes one."""

    known: Floats
    scales: Scales
    variance: float
    inverse: Floats
    weights: Floats

    @classmethod
    def of(cls, known: Floats, y: Floats, *, scales: Scales | None = None) -> Self:
        """From features ``known: (n, p)`` and ``y: (n,)`` of mean 0; with ``scales``, or else the likeliest of the grid."""
        distance = _distance(known, known)
        if scales is None:
            usual = max(float(distance.mean()), 1e-12)
            grid = [Scales(length * usual, noise) for length, noise in product(_LENGTHS, _NOISE)]
            scales = grid[int(np.argmax([_likelihood(distance, y, each) for each in grid]))]
        inverse = np.linalg.inv(np.linalg.cholesky(_noisy(distance, scales)))
        half = inverse @ y
        return cls(known, scales, _variance(half), inverse, inverse.T @ half)

    def mean(self, features: Floats) -> Floats:
        """What is expected, ``(m, p) -> (m,)``."""
        mean: Floats = np.exp(-_distance(features, self.known) / self.scales.length) @ self.weights
        return mean

    def std(self, features: Floats) -> Floats:
        """Standard deviations without the noise, ``(m, p) -> (m,)``."""
        explained = np.exp(-_distance(features, self.known) / self.scales.length) @ self.inverse.T
        std: Floats = np.sqrt(self.variance * np.maximum(1 - (explained**2).sum(axis=1), 1e-9))
        return std


def _distance(first: Floats, second: Floats) -> Floats:
    """Squared, ``(n, p), (m, p) -> (n, m)``."""
    total: Floats = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * (first @ second.T)
    return np.maximum(total, 0.0)


def _noisy(distance: Floats, scales: Scales) -> Floats:
    kernel: Floats = np.exp(-distance / scales.length) + scales.noise * np.eye(len(distance))
    return kernel


def _variance(half: Floats) -> float:
    """The likeliest, given the targets in units of the kernel's factor."""
    return max(float(half @ half) / len(half), 1e-9)


def _likelihood(distance: Floats, y: Floats, scales: Scales) -> float:
    """The logarithm of the marginal likelihood at the likeliest variance, up to a constant."""
    factor = np.linalg.cholesky(_noisy(distance, scales))
    half = np.linalg.solve(factor, y)
    return -0.5 * len(y) * float(np.log(_variance(half))) - float(np.log(np.diag(factor)).sum())
