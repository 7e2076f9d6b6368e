"""What accuracy predictors see of subnets: the choices, and how large the parts are; and the accuracies that they may learn from.

Products of sizes are there because accuracy saturates: what one part adds depends on how large the others are.
"""

from __future__ import annotations

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats
from hwnas.space.family import blockwise
from hwnas.space.moves import encode

MIN_SUBNETS = 5


def checked(space: SearchSpace, codes: Codes, y: Floats) -> Floats:
    """Accuracies ``y`` as ``(n,) float64``; too few, or any that is no share, raise `PredictorError`."""
    space.check(codes)
    target = np.asarray(y, dtype=np.float64)
    if target.shape != (len(codes),) or len(codes) < MIN_SUBNETS:
        raise PredictorError(
            f"an accuracy fit needs at least {MIN_SUBNETS} subnets with one accuracy each, not {len(codes)} and {target.shape}"
        )
    if not np.isfinite(target).all() or (target < 0).any() or (target > 1).any():
        raise PredictorError("accuracies must be shares between 0 and 1")
    return target


def features(space: SearchSpace, codes: Codes) -> Floats:
    """One-hot choices and products of sizes, ``(n, n_choices) int16 -> (n, p) float64``."""
    sizes = _sizes(space, codes)
    upper = np.triu_indices(sizes.shape[1])
    return np.concatenate([encode(space, codes), sizes[:, upper[0]] * sizes[:, upper[1]]], axis=1)


def _sizes(space: SearchSpace, codes: Codes) -> Floats:
    """Whole-network choices, and for each group its share of active choices and the mean position of their options; all 0 to 1."""
    active = space.active(codes)
    position = codes / np.maximum(space.n_options - 1, 1)
    groups = blockwise(space).groups(space)
    inside = {p for group in groups for p in group.choices}
    columns = [position[:, p] for p in range(len(space.choices)) if p not in inside]
    for group in groups:
        members = list(group.choices)
        count = active[:, members].sum(axis=1)
        columns.append(count / len(members))
        columns.append((position[:, members] * active[:, members]).sum(axis=1) / np.maximum(count, 1))
    return np.stack(columns, axis=1)
