"""A Gaussian process over architectures (Rasmussen & Williams 2006), for what is learnt from tens to hundreds of evaluations.

The kernel falls with the Hamming distance, the number of choices in which two architectures differ (Ru et al. 2021, arXiv 2006.07556, for
kernels over architectures): a mixture of one that falls off slowly, nearly a sum over choices, and a steeper one. Its scales maximise the
marginal likelihood over a grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats

_LENGTHS = (0.5, 1.0, 2.0, 4.0)
_SLOW = (0.2, 0.6)
_NOISE = (1e-3, 1e-2, 1e-1)
_SLOW_LENGTH = 8.0


@dataclass(frozen=True, slots=True)
class Scales:
    """Of the kernel: in how many choices its steep part falls off, the share of its slow part, and the variance of noise."""

    length: float
    slow: float
    noise: float


@dataclass(frozen=True, slots=True)
class GaussianProcess:
    """A fitted process: `of` makes one."""

    space: SearchSpace
    known: NDArray[np.int16]
    scales: Scales
    inverse: Floats
    weights: Floats

    @classmethod
    def of(cls, space: SearchSpace, codes: Codes, y: Floats, *, scales: Scales | None = None) -> Self:
        """From ``codes: (n, n_choices)`` and standardised ``y: (n,)``; with ``scales``, or else the likeliest of the grid."""
        known = _marked(space, codes)
        distance = _distance(known, known)
        grid = [Scales(*each) for each in product(_LENGTHS, _SLOW, _NOISE)] if scales is None else [scales]
        chosen = grid[int(np.argmax([_likelihood(distance, y, each) for each in grid]))] if len(grid) > 1 else grid[0]
        inverse = np.linalg.inv(np.linalg.cholesky(_noisy(distance, chosen)))
        return cls(space, known, chosen, inverse, inverse.T @ (inverse @ y))

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and standard deviation of ``codes: (m, n_choices)``, ``(m,)`` each."""
        cross = _kernel(_distance(_marked(self.space, codes), self.known), self.scales)
        explained = cross @ self.inverse.T
        return cross @ self.weights, np.sqrt(np.maximum(1 - (explained**2).sum(axis=1), 1e-12))


def _marked(space: SearchSpace, codes: Codes) -> NDArray[np.int16]:
    """Inactive choices as -1, so that they equal each other and nothing else."""
    return np.where(space.active(codes), codes, -1).astype(np.int16)


def _distance(first: NDArray[np.int16], second: NDArray[np.int16]) -> Floats:
    """Choices that differ, ``(n, m)``."""
    total = np.zeros((len(first), len(second)))
    for one, other in zip(first.T, second.T, strict=True):
        total += one[:, None] != other
    return total


def _kernel(distance: Floats, scales: Scales) -> Floats:
    kernel: Floats = scales.slow * np.exp(-distance / _SLOW_LENGTH) + (1 - scales.slow) * np.exp(-distance / scales.length)
    return kernel


def _noisy(distance: Floats, scales: Scales) -> Floats:
    return _kernel(distance, scales) + scales.noise * np.eye(len(distance))


def _likelihood(distance: Floats, y: Floats, scales: Scales) -> float:
    """The logarithm of the marginal likelihood, up to a constant."""
    factor = np.linalg.cholesky(_noisy(distance, scales))
    half = np.linalg.solve(factor, y)
    return -0.5 * float(half @ half) - float(np.log(np.diag(factor)).sum())
