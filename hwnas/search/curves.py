"""Where learning curves will end, from how they begin (Baker et al. 2017, Accelerating Neural Architecture Search, arXiv 1705.10823).

A ridge regression for each step takes what was measured so far, and the choices, to the next measurement; steps are chained to the end.
Regressions are fitted to the curves that went on, which were the better ones; a step that too few took is not predicted.
"""

from __future__ import annotations

import numpy as np

from hwnas.core.predict import Floats

_FEWEST = 8
_PENALTY = 1.0


def extrapolated(curves: Floats, features: Floats, rows: Floats, row_features: Floats) -> tuple[Floats, Floats]:
    """Last values of ``rows: (m, t)`` whose beginnings are known, with their standard deviations, ``(m,)`` each.

    ``curves: (n, steps)`` are all that were measured, NaN from where one was stopped; ``features: (n, p)`` and ``row_features: (m, p)`` say
    what else is known. Where a step was taken too seldom, the last value known stands for it, and the deviation is infinite.
    """
    so_far, variance = rows, np.zeros(len(rows))
    for step in range(rows.shape[1], curves.shape[1]):
        went_on = ~np.isnan(curves[:, step])
        if went_on.sum() < _FEWEST:
            return so_far[:, -1], np.full(len(rows), np.inf)
        x = np.concatenate([curves[went_on, :step], features[went_on]], axis=1)
        mean, std = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-12)
        x = (x - mean) / std
        # what is learnt is the rise, so that little data means no change and not the mean of all
        rise = curves[went_on, step] - curves[went_on, step - 1]
        gram = x.T @ x + _PENALTY * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, x.T @ (rise - rise.mean()))
        leverage = (x * np.linalg.solve(gram, x.T).T).sum(axis=1) + 1 / len(x)
        left_out = (rise - rise.mean() - x @ weights) / np.maximum(1 - leverage, 0.1)
        own = (np.concatenate([so_far, row_features], axis=1) - mean) / std
        so_far = np.concatenate([so_far, (so_far[:, -1] + rise.mean() + own @ weights)[:, None]], axis=1)
        variance = variance + float((left_out**2).mean())
    return so_far[:, -1], np.sqrt(variance)
