"""Which subnets are evaluated for an accuracy predictor: always the smallest and the largest, and those that tell most about all others."""

from __future__ import annotations

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.latency.design import choose
from hwnas.space.family import family_of
from hwnas.space.moves import sample, sample_spread, unique
from hwnas.supernet.features import features

CANDIDATES = 2000
NOISE = 0.2
"""What evaluating a subnet is off by, relative to how much subnets differ."""
_SPREAD, _UNIFORM = 2, 7  # keep these random numbers apart from others of the same seed


def spread(space: SearchSpace, n: int, *, seed: int) -> Codes:
    """``n`` subnets, or all there are, that spread over sizes at random."""
    drawn = sample_spread(space, 2 * n, np.random.default_rng([seed, _SPREAD]))
    return unique(np.concatenate([_ends(space), drawn]))[:n]


def informative(space: SearchSpace, n: int, *, seed: int) -> Codes:
    """``n`` subnets, or all candidates, that leave the least uncertainty about the candidates: half uniform, half spread.

    Greedy I-optimal design for a linear model of what accuracy predictors see (`hwnas.latency.design`).
    """
    half = max(CANDIDATES, 4 * n) // 2
    rngs = [np.random.default_rng([seed, stream]) for stream in (_SPREAD, _UNIFORM)]
    pool = unique(np.concatenate([_ends(space), sample_spread(space, half, rngs[0]), sample(space, half, rngs[1])]))
    raw = features(space, pool)
    rows: Floats = (raw - raw.mean(axis=0)) / np.maximum(raw.std(axis=0), 1e-9)
    rows[:, raw.std(axis=0) < 1e-9] = 0.0
    # the ends are taken whatever they tell
    order = choose(rows, np.eye(rows.shape[1]) / rows.shape[1], noise=NOISE, count=min(n, len(pool)))
    return unique(np.concatenate([_ends(space), pool[order]]))[:n]


def _ends(space: SearchSpace) -> Codes:
    return np.concatenate([arch.codes for arch in family_of(space).extremes(space)])
