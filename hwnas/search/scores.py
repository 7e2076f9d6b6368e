"""Targets for models of what was observed: normal scores of ranks, so that a broken architecture is only the last, not forty points below.

Blom 1958, Statistical Estimates and Transformed Beta-Variables, has the idea.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from hwnas.core.predict import Floats


def normal_scores(y: Floats) -> Floats:
    """``y: (n,)`` as quantiles of a standard normal by rank; ties share a score."""
    values, inverse, counts = np.unique(y, return_inverse=True, return_counts=True)
    middle = (np.cumsum(counts) - counts / 2) / len(y)
    standard = NormalDist()
    scores: Floats = np.array([standard.inv_cdf(float(p)) for p in middle])[inverse]
    return scores if len(values) > 1 else np.zeros(len(y))
