"""Non-dominated points of many, vectorised (the sweep of Kung, Luccio & Preparata 1975 for two objectives)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas.core.predict import Floats


def pareto_front(points: Floats) -> NDArray[np.intp]:
    """Rows of ``points: (n, m)`` (all minimised) that no other row dominates, sorted by the first objective.

    Of equal rows the first stays. NaN raises ``ValueError``.
    """
    if points.ndim != 2 or np.isnan(points).any():
        raise ValueError(f"points (n, m) without NaN are needed, not {points.shape}")
    order = np.lexsort((np.arange(len(points)), *points.T[::-1]))
    ranked = points[order]
    if not len(ranked) or ranked.shape[1] == 1:
        return order[:1]
    if ranked.shape[1] == 2:
        # in this order a row is dominated or repeated exactly when an earlier one is at most as large in the second objective
        best = np.minimum.accumulate(ranked[:, 1])
        keep = np.concatenate(([True], ranked[1:, 1] < best[:-1]))
        return order[keep]
    return order[_sweep(ranked)]


def _sweep(ranked: Floats) -> NDArray[np.intp]:
    """Front of lexicographically sorted rows: the first left is never dominated, and removes all that it dominates or repeats."""
    left = np.arange(len(ranked))
    front = []
    for _ in range(len(ranked)):
        if not len(left):
            break
        front.append(left[0])
        better_somewhere = (ranked[left] < ranked[left[0]]).any(axis=1)
        left = left[better_somewhere]
    return np.array(front, dtype=np.intp)
