"""Parents that differ: the best of many architectures, without those that are nearly like a better one.

Clearing (Pétrowski 1996, doi:10.1109/ICEC.1996.542703): of all that are within a few choices of each other the best stays. A population
that is cleared goes on looking at several peaks, where one of the best alone soon holds copies of a single peak.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.space.moves import encode


def cleared(space: SearchSpace, codes: Codes, value: Floats, n: int, *, apart: int) -> NDArray[np.intp]:
    """Up to ``n`` rows of ``codes: (m, n_choices)``, canonical, by descending ``value: (m,)``, each at least ``apart`` active choices
    from every other."""
    order = np.argsort(-value, kind="stable")
    hot = encode(space, codes[order]).astype(np.float32)
    active = hot.sum(axis=1)
    near = np.maximum(active[:, None], active) - hot @ hot.T < apart - 0.5
    left = np.ones(len(order), dtype=bool)
    kept: list[int] = []
    for row in range(len(order)):
        if len(kept) == n:
            break
        if left[row]:
            kept.append(row)
            left &= ~near[row]
    return order[kept]


def stratified(groups: NDArray[np.intp], value: Floats, keep: int) -> list[NDArray[np.intp]]:
    """The rows of each of the ``keep`` groups with the best ``value``, best group first; ``groups: (m,)`` says where each row belongs."""
    found = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    return sorted(found, key=lambda rows: -float(value[rows].max()))[:keep]
