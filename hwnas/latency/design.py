"""Which networks to measure: those that leave the least uncertainty about all others.

Greedy I-optimal design (Bayesian alphabetic optimality: Chaloner & Verdinelli 1995, doi:10.1214/ss/1177009939): each next network is
the one whose measurement lowers the variance of relative predictions, averaged over the candidates, the most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats


def choose(features: Floats, covariance: Floats, *, noise: float, count: int) -> NDArray[np.intp]:
    """Positions of ``count`` of the ``n`` candidates, the most informative first, ``(n, p) -> (count,)``.

    ``features`` are relative to what is expected of each candidate, ``covariance (p, p)`` is what is not known of the weights, ``noise``
    that of one measurement, relative. More than there are candidates raise `PredictorError`.
    """
    if count > len(features):
        raise PredictorError(f"{count} networks to measure were asked for, of {len(features)} candidates")
    average = features.T @ features / len(features)
    unknown = np.array(covariance, dtype=np.float64)
    taken = np.zeros(len(features), dtype=bool)
    chosen = np.empty(count, dtype=np.intp)
    for position in range(count):
        cross = features @ unknown
        variance = np.einsum("ij,ij->i", cross, features)
        gain = np.einsum("ij,ij->i", cross @ average, cross) / (noise**2 + variance)
        best = int(np.argmax(np.where(taken, -1.0, gain)))
        chosen[position], taken[best] = best, True
        direction = cross[best]
        unknown -= np.outer(direction, direction) / (noise**2 + variance[best])
    return chosen
